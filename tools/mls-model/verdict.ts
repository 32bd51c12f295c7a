import type pg from 'pg';
import { checkInvariants } from '../harness/invariants.ts';
import type { Actor } from './actor.ts';
import type { ReceivedMessage } from '../../client/index.ts';
import { type MembershipInterval, ReadableMessages, type Unreadable } from './readable.ts';
import type { Reference } from './reference.ts';

/** A message that the run gave to the client library. */
export interface SentMessage {
  readonly sender: string;
  readonly text: string;
  /** The acknowledged `seq`. Absent = no answer came. */
  readonly seq?: number;
}

/**
 * Compares the messages and the state of every device with the log.
 * @param sent by message id
 * @returns one line for each problem, and how many messages the devices cannot read, by the reason
 */
export async function judge(
  pool: pg.Pool,
  id: string,
  reference: Reference,
  actors: readonly Actor[],
  sent: ReadonlyMap<string, SentMessage>,
): Promise<{ readonly problems: readonly string[]; readonly unreadable: ReadonlyMap<Unreadable, number> }> {
  const problems: string[] = [];
  const unreadable = new Map<Unreadable, number>();
  await checkInvariants(pool, id).catch((error: unknown) => problems.push(String(error)));
  problems.push(...findLost(reference, sent), ...(await findStrangers(pool, id, reference)));
  const intervals = await readIntervals(pool, id);
  for (const actor of actors) {
    problems.push(...judgeState(id, reference, actor));
    const history = await actor.history(id);
    const seen = { intervals: intervals.get(actor.user) ?? [], history, unreadable };
    problems.push(...judgeHistory(id, reference, actor, seen));
    problems.push(...actor.logAlarms.map((alarm) => `${actor.name}: a false alarm about the log ${alarm}`));
    problems.push(...actor.streamFaults.map((fault) => `${actor.name}: its stream delivered ${fault}`));
  }
  return { problems, unreadable };
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

/** What is known of the messages of a device. */
interface Seen {
  readonly intervals: readonly MembershipInterval[];
  readonly history: readonly ReceivedMessage[];
  /** Counts the messages that it cannot read. */
  readonly unreadable: Map<Unreadable, number>;
}

/**
 * Checks that a device has each message of its epochs and membership intervals once, unchanged and in order. It may miss
 * those that no state which it held can read (`readable.ts`).
 */
function judgeHistory(
  id: string,
  reference: Reference,
  actor: Actor,
  { intervals, history, unreadable }: Seen,
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
  for (const interval of intervals) {
    const readable = new ReadableMessages(reference, actor, interval);
    const missing: ReceivedMessage[] = [];
    for (const message of inInterval(reference, interval)) {
      if (has.has(message.seq) || !hasLeaf(reference, actor, message)) continue;
      const why = readable.whyNot(message);
      if (why === undefined) missing.push(message);
      else unreadable.set(why, (unreadable.get(why) ?? 0) + 1);
    }
    if (missing.length === 0) continue;
    const { rejoinReasons, losses, stuckAt } = actor;
    const list = missing.map(({ seq, epoch, sender }) => `${seq} (epoch ${epoch}, of ${sender})`).join(', ');
    const undecryptable = actor.group(id)?.undecryptable;
    problems.push(
      `${actor.name} misses ${list}: ${readable.describe()}; ${JSON.stringify({ interval, rejoinReasons, losses, stuckAt, undecryptable })}`,
    );
  }
  for (const { seq, epoch } of reference.messages.values()) {
    const isInside = intervals.some(({ from, to }) => from <= seq && seq <= to);
    if (has.has(seq) && !(isInside && hasLeaf(reference, actor, { epoch })))
      problems.push(`${actor.name} has ${seq}, which it may not read`);
  }
  for (const { seq, epoch, why } of actor.stuckAt) {
    if (!actor.updatesProposed.has(epoch)) {
      problems.push(`${actor.name} could not follow ${seq}, a commit on ${epoch}: ${why}`);
    }
  }
  return problems;
}

function inInterval({ messages }: Reference, { from, to }: MembershipInterval): ReceivedMessage[] {
  return [...messages.values()].filter(({ seq }) => from <= seq && seq <= to);
}

/** Whether the device has a leaf in the epoch of a message. */
function hasLeaf({ epochs }: Reference, { signatureKey }: Actor, { epoch }: { readonly epoch: number }): boolean {
  return epochs.get(epoch)?.keys.has(signatureKey) === true;
}
