import type pg from 'pg';
import { checkInvariants } from '../harness/invariants.ts';
import type { Actor } from './actor.ts';
import type { ReceivedMessage } from '../../client/index.ts';
import type { Reference } from './reference.ts';

/** A message that the run gave to the client library. */
export interface SentMessage {
  readonly sender: string;
  readonly text: string;
  /** The acknowledged `seq`. Absent = no answer came. */
  readonly seq?: number;
}

/** A membership interval of a user, by `seq`. `to` is infinite while the user is a member. */
interface MembershipInterval {
  readonly from: number;
  readonly to: number;
}

/**
 * Compares the messages and the state of every device with the log.
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
  const intervals = await readIntervals(pool, id);
  for (const actor of actors) {
    problems.push(...judgeState(id, reference, actor));
    const history = await actor.history(id);
    problems.push(...judgeHistory(id, reference, actor, { intervals: intervals.get(actor.user) ?? [], history }));
    problems.push(...actor.streamFaults.map((fault) => `${actor.name}: its stream delivered ${fault}`));
  }
  return problems;
}

/** Checks that each message in the log has the text of its sender, and that no acknowledged message is missing. */
function findLost(reference: Reference, sent: ReadonlyMap<string, SentMessage>): string[] {
  const problems = reference.undecryptable.map((seq) => `the replay cannot decrypt ${seq}`);
  const seqs = new Map([...reference.messageIds].map(([seq, messageId]) => [messageId, seq]));
  if (seqs.size !== reference.messageIds.size) problems.push('a message id is in the log twice');
  for (const [messageId, { text, seq }] of sent) {
    if (seq !== undefined && seqs.get(messageId) !== seq) {
      problems.push(`"${text}" was acknowledged as ${seq}, but the log has it at ${seqs.get(messageId) ?? 'no seq'}`);
    }
  }
  for (const [seq, message] of reference.messages) {
    const known = sent.get(reference.messageIds.get(seq) ?? '');
    if (known?.text !== message.text || known.sender !== message.sender) {
      problems.push(`${seq} is "${message.text}" of ${message.sender}, but ${JSON.stringify(known)} was sent`);
    }
  }
  return problems;
}

/** Checks that the MLS group and the conversation have the same members. */
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

async function readIntervals(pool: pg.Pool, id: string): Promise<Map<string, MembershipInterval[]>> {
  const { rows } = await pool.query<{ user: string; from: number; to: number | null }>(
    `select p.user_id as user, p.from_seq as from, p.to_seq as to from period p
     join conversation c on c.key = p.conversation where c.id = $1`,
    [id],
  );
  const intervals = new Map<string, MembershipInterval[]>();
  for (const { user, from, to } of rows) {
    intervals.set(user, [...(intervals.get(user) ?? []), { from, to: to ?? Infinity }]);
  }
  return intervals;
}

/** Checks that a device in the tree has the group's state at the end of the log, and that any other knows it is out. */
function judgeState(id: string, reference: Reference, actor: Actor): string[] {
  const epoch = Math.max(...reference.epochs.keys());
  const current = reference.epochs.get(epoch);
  const isInTree = current?.keys.has(actor.signatureKey) === true;
  const group = actor.group(id);
  if (!isInTree) return actor.isIn(id) ? [`${actor.name} is not in the group, but believes to be in it`] : [];
  if (group === undefined || group.isRemoved) {
    return [`${actor.name} is in the group, but ${group === undefined ? 'has no state' : 'believes to be removed'}`];
  }
  const problems: string[] = [];
  if (group.epoch !== epoch || group.epochAuthenticator !== current.authenticator) {
    problems.push(
      `${actor.name} is in epoch ${group.epoch} at ${group.position}, the group is in ${epoch} or in another state`,
    );
  }
  if (group.position !== reference.lastSeq)
    problems.push(`${actor.name} is at ${group.position} of ${reference.lastSeq}`);
  if ([...group.members].sort().join() !== current.members.join()) problems.push(`${actor.name} sees other members`);
  return problems;
}

/**
 * Checks that a device has each message of its epochs and membership intervals once, unchanged and in order. Messages
 * that only a lost state could decrypt may be missing.
 */
function judgeHistory(
  id: string,
  reference: Reference,
  actor: Actor,
  {
    intervals,
    history,
  }: { readonly intervals: readonly MembershipInterval[]; readonly history: readonly ReceivedMessage[] },
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
      problems.push(`${actor.name} has "${text}" of ${sender} at ${seq}, but the log has ${JSON.stringify(real)}`);
    }
  }
  const missing: string[] = [];
  for (const { seq, ...message } of reference.messages.values()) {
    const interval = intervals.find(({ from, to }) => from <= seq && seq <= to);
    const hasKeys = reference.epochs.get(message.epoch)?.keys.has(actor.signatureKey) === true;
    if (interval === undefined || !hasKeys) {
      if (has.has(seq)) problems.push(`${actor.name} has ${seq}, which it may not read`);
    } else if (
      !has.has(seq) &&
      !wasAway(actor, interval) &&
      !isExcused(reference, actor, interval, { seq, epoch: message.epoch })
    ) {
      missing.push(`${seq} (epoch ${message.epoch})`);
    }
  }
  if (missing.length > 0) {
    const { welcomed, rejoins, rejoinReasons, losses } = actor;
    problems.push(
      `${actor.name} misses ${missing.join(', ')}; ${JSON.stringify({ intervals, welcomed, rejoins, rejoinReasons, losses, undecryptable: actor.group(id)?.undecryptable })}`,
    );
  }
  for (const { seq, epoch, why } of actor.stuckAt) {
    if (!actor.updatesProposed.has(epoch)) {
      problems.push(`${actor.name} could not follow ${seq}, a commit on ${epoch}: ${why}`);
    }
  }
  return problems;
}

/** True if the interval ended before the device joined: the removal withdrew its Welcome. */
function wasAway({ welcomed, rejoins }: Actor, { from, to }: MembershipInterval): boolean {
  return to < Infinity && ![...welcomed, ...rejoins].some((seq) => from <= seq && seq <= to);
}

/** True if the device lost its state before this message and came back in a later epoch. */
function isExcused(
  reference: Reference,
  actor: Actor,
  { to }: MembershipInterval,
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
