import type { CommitBundle, ParleyClient } from '../../client/index.ts';
import { epochConflict, hasCode, newId } from '../../client/index.ts';
import { randomCiphertext } from '../../tools/harness/opaque.ts';

/** What became of the commits of one closed loop. */
export interface Tally {
  accepted: number;
  conflicts: number;
  /** It was removed. */
  isRemoved: boolean;
  /** Anything that a commit race does not explain. */
  readonly unexpected: unknown[];
}

/** A committer of an opaque conversation who states its epochs: what a client of MLS does, without its cryptography. */
export interface Committer {
  readonly client: ParleyClient;
  readonly conversation: string;
  /** Milliseconds that it needs for a commit, once it knows the epoch. @default 0 */
  readonly buildMs?: number;
}

/** Commits again and again, each time for the epoch that it last heard of, until told to stop or removed. */
export async function commitInLoop({ client, conversation }: Committer, isOver: () => boolean): Promise<Tally> {
  const tally: Tally = { accepted: 0, conflicts: 0, isRemoved: false, unexpected: [] };
  let epoch = 0;
  while (!isOver() && !tally.isRemoved) {
    try {
      ({ epoch } = await client.commit(conversation, newBundle(epoch)));
      tally.accepted++;
    } catch (error) {
      const conflict = epochConflict(error);
      if (conflict !== undefined) {
        epoch = conflict.currentEpoch;
        tally.conflicts++;
      } else if (hasCode(error, 'removed')) tally.isRemoved = true;
      else if (!hasCode(error, 'rate-limited')) tally.unexpected.push(error);
    }
  }
  return tally;
}

/**
 * Commits one change and builds it anew after each lost race, as a client must.
 * @throws Error if it has not won in `withinMs`
 */
export async function commitUntilWon(
  { client, conversation, buildMs = 0 }: Committer,
  change: Pick<CommitBundle, 'adds' | 'removes'>,
  withinMs: number,
): Promise<void> {
  const until = Date.now() + withinMs;
  let epoch = await client.epoch(conversation);
  while (Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, buildMs));
    try {
      await client.commit(conversation, { ...newBundle(epoch), ...change });
      if (Date.now() < until) return;
    } catch (error) {
      const conflict = epochConflict(error);
      if (conflict === undefined) throw error;
      epoch = conflict.currentEpoch;
    }
  }
  throw new Error(`It has not won within ${withinMs} ms`);
}

/** A commit for an epoch, with bytes of its own. */
export function newBundle(epoch: number): CommitBundle & { readonly epoch: number } {
  return { id: newId(), epoch, commit: randomCiphertext() };
}
