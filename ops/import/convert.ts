import type pg from 'pg';
import { BODY_LIMIT_MESSAGES, MAX_MEMBERS_LIMIT, MIN_MEMBERS_LIMIT } from '../../domain/limits.ts';
import { type Policy, makePolicy } from '../../domain/policy.ts';
import type { Findings } from './findings.ts';
import { messageIdOf, ownerOf } from './ids.ts';
import { type ImportedMember, type User, membersOf, momentsOf, usersOf, wasMember } from './members.ts';
import { type Numbering, finalEpoch, makeNumbering } from './numbering.ts';
import type { Original } from './original.ts';
import type { OriginalConversation } from './read-conversation.ts';
import { type OriginalMessage, readMessages } from './read-messages.ts';
import type { Place } from './stays.ts';
import type { ImportedConversation, ImportedEntry, ImportedWelcome } from './write-conversation.ts';

/** Epochs that a message may be behind: the default of new conversations. */
const EPOCH_WINDOW = 2;
/** What fits into a request as base64, which makes four bytes of three. */
const MAX_MESSAGE_BYTES = (BODY_LIMIT_MESSAGES / 4) * 3;

/** What every imported conversation gets. */
export interface ConvertOptions {
  /** Absent = messages are kept for ever. */
  readonly retentionDays?: number | undefined;
}

/**
 * Converts a conversation. Its entries go to `write` in bounded steps; the rest is returned.
 * @param withBodies false: entries have no bytes, for a dry run
 */
export async function convert(
  original: Original,
  client: pg.PoolClient,
  from: OriginalConversation,
  options: ConvertOptions & {
    readonly withBodies: boolean;
    readonly findings: Findings;
    readonly write: (entries: readonly ImportedEntry[]) => Promise<void>;
  },
): Promise<ImportedConversation> {
  const { id, log } = from;
  const { findings } = options;
  reportLog(from, findings);
  const users = usersOf(from.members, () => findings.add('bad-user', id));
  const byName = new Map(users.map((user) => [user.user, user]));
  const numbering = makeNumbering(log, EPOCH_WINDOW);
  const places = recordPlaces(numbering, [
    ...momentsOf(users),
    ...from.welcomes.map(({ createdAt }) => createdAt.getTime()),
  ]);
  for await (const messages of readMessages(original, client, id, options.withBodies)) {
    await options.write(messages.map((message) => toEntry(message, { id, numbering, places, byName, findings })));
  }
  const end = places.end();
  const creator = ownerOf(from.creator, null, null)?.user ?? 'unknown';
  const members = membersOf(users, creator, places.at, end, () => findings.add('no-admin', id));
  const unread = users.filter(({ readAt, stays }) => readAt === null && stays.at(-1)?.to === null);
  if (end.count > 0) findings.add('no-read-position', id, unread.length);
  if (!members.some(({ left }) => left === null)) findings.add('no-members', id);
  const { policy, welcomes } = { policy: policyOf(from, options), welcomes: welcomesOf(from, members, places.at) };
  findings.add('lost-welcomes', id, from.welcomes.length - welcomes.length);
  const epoch = finalEpoch(log);
  const lastAt = Math.max(numbering.lastAt(), from.createdAt.getTime());
  return { epoch, end, policy, creator, createdAt: from.createdAt, lastAt, members, welcomes };
}

function reportLog({ id, log }: OriginalConversation, findings: Findings): void {
  findings.add('duplicate-epochs', id, log.duplicateEpochs);
  findings.add('missing-epochs', id, log.missingEpochs);
  findings.add('duplicate-seqs', id, log.duplicateSeqs);
  findings.add('missing-seqs', id, log.missingSeqs);
  findings.add('expired', id, log.expired);
  if (finalEpoch(log) > log.currentEpoch) findings.add('epoch-raised', id);
}

/** Remembers what the log held at some moments, while it is numbered. Times of a log never run backwards. */
interface Places {
  /** Call it before a message of this time is numbered. */
  readonly reach: (time: number) => void;
  readonly at: (moment: number) => Place;
  readonly end: () => Place;
}

function recordPlaces(numbering: Numbering, moments: readonly number[]): Places {
  const sorted = [...new Set(moments)].sort((a, b) => a - b);
  const places = new Map<number, Place>();
  let next = 0;
  return {
    reach: (time) => {
      for (let moment = sorted[next]; moment !== undefined && moment < time; moment = sorted[++next]) {
        places.set(moment, numbering.place());
      }
    },
    // After the last entry.
    at: (moment) => places.get(moment) ?? numbering.place(),
    end: () => numbering.place(),
  };
}

function toEntry(
  message: OriginalMessage,
  {
    id,
    numbering,
    places,
    byName,
    findings,
  }: {
    readonly id: string;
    readonly numbering: Numbering;
    readonly places: Places;
    readonly byName: ReadonlyMap<string, User>;
    readonly findings: Findings;
  },
): ImportedEntry {
  const { rowId, messageId, isCommit, epoch, createdAt, bytes, size } = message;
  const time = Math.max(createdAt.getTime(), numbering.lastAt());
  places.reach(time);
  const numbers = numbering.next({ isCommit, epoch, at: time });
  const stored = messageIdOf(rowId, messageId);
  if (stored === undefined) throw new Error(`The row ${rowId} of messages has no id that Parley allows`);
  const owner = message.sender === null ? undefined : ownerOf(message.sender, null, null)?.user;
  const sender = owner !== undefined && wasMember(byName.get(owner), time) ? owner : null;
  if (message.sender !== null && sender === null) findings.add('unknown-senders', id);
  if (message.isRepeated) findings.add('repeated-ids', id);
  if (numbers.isMoved) findings.add('moved-epochs', id);
  if (!isCommit && size > MAX_MESSAGE_BYTES) findings.add('oversized', id);
  return { ...numbers, kind: isCommit ? 'commit' : 'application', messageId: stored, sender, bytes };
}

/** Everybody could add, admins could remove. Without a GroupInfo that the service has checked nobody joins by an external commit. */
function policyOf({ maxMembers, keepsLastAdmin }: OriginalConversation, { retentionDays }: ConvertOptions): Policy {
  return makePolicy(
    {
      externalJoin: 'nobody',
      whoMayRemove: 'admin',
      lastAdmin: keepsLastAdmin ? 'refuse' : 'hand-over',
      retentionDays,
      ...(maxMembers === null
        ? {}
        : { maxMembers: Math.min(Math.max(maxMembers, MIN_MEMBERS_LIMIT), MAX_MEMBERS_LIMIT) }),
    },
    { epochWindow: EPOCH_WINDOW },
  );
}

/** Welcomes that are still good: of a commit, for a current member that joined with it or before, and one for each target. */
function welcomesOf(
  { welcomes }: OriginalConversation,
  members: readonly ImportedMember[],
  placeAt: (time: number) => Place,
): ImportedWelcome[] {
  const current = new Map(members.flatMap((member) => (member.left === null ? [[member.user, member]] : [])));
  const kept = new Map<string, ImportedWelcome>();
  const bodies = new Map<number, Buffer>();
  for (const { recipient, bytes, createdBy, createdAt } of welcomes) {
    const owner = ownerOf(recipient, null, null);
    const { commitSeq: seq, epoch } = placeAt(createdAt.getTime());
    const member = owner === undefined ? undefined : current.get(owner.user);
    if (owner === undefined || member === undefined || seq === 0 || member.joined.commitSeq > seq) continue;
    const body = bodies.get(seq) ?? bytes;
    if (!body.equals(bytes)) continue;
    bodies.set(seq, body);
    const inviter = createdBy === null ? '' : (ownerOf(createdBy, null, null)?.user ?? '');
    kept.set(JSON.stringify(owner), { ...owner, seq, epoch, bytes, inviter });
  }
  return [...kept.values()];
}
