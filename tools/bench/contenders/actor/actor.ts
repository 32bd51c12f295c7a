import type pg from 'pg';
import type { PeerCommand, PeerOutcome } from '../command.ts';
import { answer, refusalOf } from '../verdict.ts';
import { type ActorState, loadState } from './state.ts';
import { type Position, findEarlier, storeNext, storePositions } from './write-through.ts';

/** Read positions are written with every tenth entry. The original did the same with its unread counts. */
const POSITIONS_EVERY = 10;

/** Decides the commands of one conversation, one after another. */
export interface Actor {
  readonly ask: (command: PeerCommand) => Promise<PeerOutcome>;
}

/** An actor without state. It reads its conversation with its first command, and again when its memory turns out wrong. */
export function makeActor(pool: pg.Pool, conversation: string): Actor {
  let mailbox: Promise<unknown> = Promise.resolve();
  let state: ActorState | undefined;
  let positions = new Map<string, Position>();
  let sinceWritten = 0;

  const remember = async (found: ActorState, { kind, user }: PeerCommand): Promise<void> => {
    found.lastSeq++;
    if (kind === 'commit') {
      found.epoch++;
      return;
    }
    found.appCount++;
    positions.set(user, { seq: found.lastSeq, count: found.appCount });
    if (++sinceWritten < POSITIONS_EVERY) return;
    const written = positions;
    positions = new Map();
    sinceWritten = 0;
    await storePositions(pool, found.key, written);
  };
  const decide = async (command: PeerCommand, mayReload = true): Promise<PeerOutcome> => {
    state ??= await loadState(pool, conversation);
    if (state === undefined) return { status: 'refused', code: 'not-found' };
    const { epoch, window, members } = state;
    const facts = { epoch, window, isMember: members.has(command.user) };
    let refusal = refusalOf(command, facts);
    const at = refusal === undefined ? await storeNext(pool, state, command) : undefined;
    if (at !== undefined) {
      const entry = { seq: state.lastSeq + 1, epoch: command.epoch ?? epoch, at };
      await remember(state, command);
      return answer(command, 'accepted', entry);
    }
    // Its id is known, or its epoch is over: a repetition is answered as the first time.
    const earlier = facts.isMember ? await findEarlier(pool, state.key, command) : undefined;
    if (earlier !== undefined) refusal = refusalOf(command, { ...facts, earlier });
    if (refusal !== undefined) return refusal;
    if (!mayReload) throw new Error('The log and the memory of the actor differ');
    state = undefined;
    return decide(command, false);
  };
  return {
    ask: (command) => {
      const answered = mailbox.then(() => decide(command));
      mailbox = answered.catch(() => {
        // Whether the statement ran is not known, so the memory is not either.
        state = undefined;
      });
      return answered;
    },
  };
}
