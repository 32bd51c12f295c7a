import type pg from 'pg';
import { checkInvariants } from '../harness/invariants.ts';
import type { Actor } from './actor.ts';
import type { ReceivedMessage } from '../../client/index.ts';
import type { Reference } from './reference.ts';

/** What the run knows of a message that it handed to the kit. */
export interface SentMessage {
  readonly sender: string;
  readonly text: string;
  /** As acknowledged; absent if no answer came. */
  readonly seq?: number;
}

/** A user's stay in the conversation, by `seq`; open without `to`. */
interface Stay {
  readonly from: number;
  readonly to: number;
}

/**
 * Compares what every device has with what the log holds.
 * @param sent by message id
 * @returns one line for each problem
 */
export async function judge(
  pool: pg.Pool,
  id: string,
  reference: Reference,
  actors: readonly Actor[],
  sent: ReadonlyMap<string, SentMessage>,
): Promise<string[]> {
  const problems: string[] = [];
  await checkInvariants(pool, id).catch((error: unknown) => problems.push(String(error)));
  problems.push(...findLost(reference, sent), ...(await findStrangers(pool, id, reference)));
  const stays = await readStays(pool, id);
  for (const actor of actors) {
    problems.push(...judgeState(id, reference, actor));
    const history = await actor.history(id);
    problems.push(...judgeHistory(id, reference, actor, { stays: stays.get(actor.user) ?? [], history }));
    problems.push(...actor.streamFaults.map((fault) => `${actor.name}: its stream brought ${fault}`));
  }
  return problems;
}

/** Every message of the log is what its sender sent, and everything that was acknowledged is there. */
function findLost(reference: Reference, sent: ReadonlyMap<string, SentMessage>): string[] {
  const problems = reference.undecryptable.map((seq) => `the replay cannot decrypt ${seq}`);
  const seqs = new Map([...reference.messageIds].map(([seq, messageId]) => [messageId, seq]));
  if (seqs.size !== reference.messageIds.size) problems.push('a message id stands in the log twice');
  for (const [messageId, { text, seq }] of sent) {
    if (seq !== undefined && seqs.get(messageId) !== seq) {
      problems.push(`"${text}", acknowledged as ${seq}, stands at ${seqs.get(messageId) ?? 'no place'}`);
    }
  }
  for (const [seq, message] of reference.messages) {
    const known = sent.get(reference.messageIds.get(seq) ?? '');
    if (known?.text !== message.text || known.sender !== message.sender) {
      problems.push(`${seq} is "${message.text}" of ${message.sender}, sent was ${JSON.stringify(known)}`);
    }
  }
  return problems;
}

/** The members of the group are those of the conversation. */
async function findStrangers(pool: pg.Pool, id: string, reference: Reference): Promise<string[]> {
  const { rows } = await pool.query<{ user: string }>(
    `select m.user_id as user from member m join conversation c on c.key = m.conversation
     where c.id = $1 and m.left_seq is null order by 1`,
    [id],
  );
  const inGroup = [...new Set(reference.epochs.get(Math.max(...reference.epochs.keys()))?.members)].sort();
  const members = rows.map(({ user }) => user).sort();
  if (members.join() === inGroup.join()) return [];
  return [`members of the conversation: ${members.join()}; of the group: ${inGroup.join()}`];
}

async function readStays(pool: pg.Pool, id: string): Promise<Map<string, Stay[]>> {
  const { rows } = await pool.query<{ user: string; from: number; to: number | null }>(
    `select p.user_id as user, p.from_seq as from, p.to_seq as to from period p
     join conversation c on c.key = p.conversation where c.id = $1`,
    [id],
  );
  const stays = new Map<string, Stay[]>();
  for (const { user, from, to } of rows) stays.set(user, [...(stays.get(user) ?? []), { from, to: to ?? Infinity }]);
  return stays;
}

/** A device that the tree holds is at its end, in the same state; any other knows that it is out. */
function judgeState(id: string, reference: Reference, actor: Actor): string[] {
  const epoch = Math.max(...reference.epochs.keys());
  const current = reference.epochs.get(epoch);
  const isInTree = current?.keys.has(actor.signatureKey) === true;
  const group = actor.group(id);
  if (!isInTree) return actor.isIn(id) ? [`${actor.name} believes to be in the group, and is not`] : [];
  if (group === undefined || group.isRemoved) {
    return [`${actor.name} is in the group, and ${group === undefined ? 'has no state' : 'believes to be out'}`];
  }
  const problems: string[] = [];
  if (group.epoch !== epoch || group.epochAuthenticator !== current.authenticator) {
    problems.push(
      `${actor.name} is in epoch ${group.epoch} at ${group.position}, the group in ${epoch}, or another state`,
    );
  }
  if (group.position !== reference.lastSeq)
    problems.push(`${actor.name} is at ${group.position} of ${reference.lastSeq}`);
  if ([...group.members].sort().join() !== current.members.join()) problems.push(`${actor.name} sees other members`);
  return problems;
}

/** It has every message of its epochs and stays, in order, once, as sent; but for what its lost states could read. */
function judgeHistory(
  id: string,
  reference: Reference,
  actor: Actor,
  { stays, history }: { readonly stays: readonly Stay[]; readonly history: readonly ReceivedMessage[] },
): string[] {
  const problems: string[] = [];
  const has = new Map<number, string>();
  let last = 0;
  for (const { seq, epoch, sender, text } of history) {
    if (seq <= last) problems.push(`${actor.name} has ${seq} after ${last}`);
    last = seq;
    has.set(seq, text);
    const real = reference.messages.get(seq);
    if (real?.text !== text || real.sender !== sender || real.epoch !== epoch) {
      problems.push(`${actor.name} has "${text}" of ${sender} at ${seq}, which is ${JSON.stringify(real)}`);
    }
  }
  const missing: string[] = [];
  for (const { seq, ...message } of reference.messages.values()) {
    const stay = stays.find(({ from, to }) => from <= seq && seq <= to);
    const hasKeys = reference.epochs.get(message.epoch)?.keys.has(actor.signatureKey) === true;
    if (stay === undefined || !hasKeys) {
      if (has.has(seq)) problems.push(`${actor.name} has ${seq}, which it may not read`);
    } else if (
      !has.has(seq) &&
      !wasAway(actor, stay) &&
      !isExcused(reference, actor, stay, { seq, epoch: message.epoch })
    ) {
      missing.push(`${seq} (epoch ${message.epoch})`);
    }
  }
  if (missing.length > 0) {
    const { welcomed, rejoins, rejoinReasons, losses } = actor;
    problems.push(
      `${actor.name} misses ${missing.join(', ')}; ${JSON.stringify({ stays, welcomed, rejoins, rejoinReasons, losses, undecryptable: actor.group(id)?.undecryptable })}`,
    );
  }
  for (const { seq, epoch, why } of actor.stuckAt) {
    if (!actor.updatesProposed.has(epoch)) {
      problems.push(`${actor.name} could not follow ${seq}, a commit on ${epoch}: ${why}`);
    }
  }
  return problems;
}

/** Did the stay end before the device came by? The removal withdrew its Welcome. */
function wasAway({ welcomed, rejoins }: Actor, { from, to }: Stay): boolean {
  return to < Infinity && ![...welcomed, ...rejoins].some((seq) => from <= seq && seq <= to);
}

/** Did it lose its state before it came to this message, and come back in a later epoch than the message's? */
function isExcused(
  reference: Reference,
  actor: Actor,
  { to }: Stay,
  { seq, epoch }: { readonly seq: number; readonly epoch: number },
): boolean {
  const { losses, stuckAt, rejoins, welcomed } = actor;
  const lostAt = [...losses, ...stuckAt.map((entry) => entry.seq - 1)];
  return lostAt.some((position) => {
    if (seq <= position) return false;
    const back = Math.min(...[...rejoins, ...welcomed].filter((joined) => joined > position));
    // It was removed before it came back.
    if (back > to) return true;
    const next = [...reference.epochs].find(([, { from }]) => from === back)?.[0];
    return next !== undefined && epoch < next;
  });
}
