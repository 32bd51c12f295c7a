import { z } from 'zod';
import { MAX_MEMBER_EVENTS } from '../../domain/limits.ts';
import type { StreamEvent } from '../../streams/event.ts';
import { Base64, Epoch, Incarnation, PositionAnswer, Seq } from './common.ts';
import { Entry } from './messages.ts';
import { Policy } from './policy.ts';

/** One event of a stream, as the document shows it: its name, its id if it has one, and its data (JSON in one `data:` line). */
function eventOf<T extends z.ZodType>(name: StreamEvent, description: string, data: T, hasId = false) {
  const id = hasId ? { id: PositionAnswer.meta({ description: 'The position of the entry' }) } : {};
  return z.object({ event: z.literal(name), ...id, data }).meta({ description });
}

const CONVERSATION = 'q83vEjRWeJASNFZ4kBI0Vg';
const conversation = z.string().meta({ description: 'Conversation id', example: CONVERSATION });
const nothing = z.object({}).meta({ example: {} });

const entryExample = {
  seq: 7,
  kind: 'application',
  id: 'hello-1',
  epoch: 3,
  ciphertext: 'AAEAAg==',
  at: '2026-01-31T12:00:00.000Z',
  chain: 'SnIKT3VOB9J7jEGMf6dzckHqtFi0E+ZiaGeZ2TkDB8w=',
} as const;
const ENDS = 'Ends the stream. ';
const DELETED =
  'The body of the entry `seq` was deleted, by its sender or by an admin: drop what you have of it. The entry itself may be one from before you joined.';
const slow = `${ENDS}Your client read nothing for some seconds: reconnect`;
const reconnect = `${ENDS}The token expires, or the server stops: reconnect`;
const logEnds = { lastSeq: Seq, oldestSeq: Seq };
const restarted =
  'The log does not go on from the last entry that you have: the service was restored, and entries are gone or others. `lastSeq` is the last entry that you may read now, `oldestSeq` the oldest that exists';
const truncated = 'Retention deleted the entries before `oldestSeq`: rejoin the group if you missed a commit';

const Successor = z
  .string()
  .meta({ description: 'The conversation that replaced this one', example: 'Zm9sbG93LXVwLWdyb3VwMQ' });
const Removed = z.object({ seq: Seq.optional() }).meta({
  description: '`seq` is the last entry that you may read. Absent: the conversation was deleted',
  example: { seq: 12 },
});

const sender = z.string().optional().meta({
  description: 'Only in `opaque` conversations: in `mls` the service names no sender',
});
const signalExample = { data: 'AgAAAAAAAAADq83vEjRWeJASNFZ4kBI0Vg==' } as const;
const SIGNAL =
  'Somebody sent a signal. It is no part of the log: it comes to streams that are open and not behind, and may not come at all';

/** Events of the stream of one conversation, by name. */
export const CONVERSATION_EVENTS = {
  entry: eventOf('entry', 'The only event with an id', Entry.meta({ example: entryExample }), true).meta({
    id: 'ConversationEntryEvent',
  }),
  deleted: eventOf(
    'deleted',
    `${DELETED} Without an id. It may come again after a reconnect`,
    z.object({ seq: Seq }).meta({ example: { seq: 7 } }),
  ).meta({ id: 'ConversationDeletedEvent' }),
  signal: eventOf('signal', SIGNAL, z.object({ data: Base64, sender }).meta({ example: signalExample })).meta({
    id: 'ConversationSignalEvent',
  }),
  removed: eventOf(
    'removed',
    `${ENDS}You are no longer a member, or an operator removed you from the service`,
    Removed,
  ).meta({ id: 'ConversationRemovedEvent' }),
  reset: eventOf(
    'reset',
    `${ENDS}Another conversation replaced this one`,
    z.object({ successor: Successor }).meta({ example: { successor: 'Zm9sbG93LXVwLWdyb3VwMQ' } }),
  ).meta({
    id: 'ConversationResetEvent',
  }),
  'history-truncated': eventOf(
    'history-truncated',
    `${ENDS}${truncated}, and continue after \`oldestSeq\` - 1`,
    z.object({ oldestSeq: Seq }).meta({ example: { oldestSeq: 5 } }),
  ).meta({ id: 'ConversationHistoryTruncatedEvent' }),
  'log-restarted': eventOf(
    'log-restarted',
    `${ENDS}${restarted}`,
    z.object(logEnds).meta({ example: { lastSeq: 5, oldestSeq: 1 } }),
  ).meta({ id: 'ConversationLogRestartedEvent' }),
  'slow-consumer': eventOf(
    'slow-consumer',
    `${slow} after \`after\``,
    z.object({ after: Seq }).meta({ example: { after: 7 } }),
  ).meta({ id: 'ConversationSlowConsumerEvent' }),
  replaced: eventOf(
    'replaced',
    `${ENDS}Only of a stream that a ticket opened: the ticket was used again, or its device was deleted`,
    nothing,
  ).meta({ id: 'ConversationReplacedEvent' }),
  reconnect: eventOf('reconnect', reconnect, nothing).meta({ id: 'ReconnectEvent' }),
} satisfies Partial<Record<StreamEvent, z.ZodType>>;

const MemberChange = z
  .object({
    conversation,
    seq: Seq.meta({ description: 'The entry that it comes after' }),
    user: z.string(),
    change: z.enum(['added', 'removed', 'role']),
    role: z.enum(['admin', 'member']).optional().meta({ description: 'With `role` only' }),
  })
  .meta({ example: { conversation: CONVERSATION, seq: 4, user: 'bob', change: 'added' } });

const ManyMembers = z
  .object({
    conversation,
    seq: Seq,
    change: z.enum(['added', 'removed']),
    count: z.number().int(),
    url: z.string().meta({ description: 'Path of the list of members' }),
  })
  .meta({
    example: {
      conversation: CONVERSATION,
      seq: 4,
      change: 'added',
      count: 500,
      url: `/v1/conversations/${CONVERSATION}/members`,
    },
  });

const ConversationChange = z
  .union([
    z.object({ conversation, change: z.literal('new'), seq: Seq, protocol: z.enum(['mls', 'opaque']) }),
    z.object({ conversation, change: z.literal('policy'), seq: Seq, policy: Policy }),
    z.object({ conversation, change: z.literal('deleted') }),
    z.object({ conversation, change: z.literal('several'), seq: Seq }),
    z.object({ conversation, change: z.literal('reset-open'), seq: Seq }),
    z.object({ conversation, change: z.literal('welcome-expired'), seq: Seq, user: z.string(), device: z.string() }),
    z.object({ conversation, change: z.literal('welcome-expired'), seq: Seq, count: z.number().int() }),
  ])
  .meta({
    description: [
      '`new`: you became a member with this entry.',
      '`policy`: an admin changed it.',
      '`deleted`: for everybody.',
      `\`several\`: more than ${MAX_MEMBER_EVENTS} changes at the entry that you acknowledged come as this one: read the conversation, its members and its deletions again.`,
      '`reset-open`: any proven member may reset the conversation.',
      `\`welcome-expired\`: a device did not join in time; \`count\` in place of user and device for more than ${MAX_MEMBER_EVENTS} at once.`,
    ].join(' '),
    example: { conversation: CONVERSATION, change: 'new', seq: 4, protocol: 'mls' },
  });

/** Events of the stream of all conversations of a device, by name. None has an id. */
export const ACCOUNT_EVENTS = {
  service: eventOf(
    'service',
    'The first event of each stream, and again if `incarnation` changes: then the stream ends with `reconnect`. Another incarnation than before: the database was restored, or a copy took over, and what the service knew may be older. Replace your key packages, register your push target again, send your acknowledgements and read marks again, and compare your conversations',
    z.object({ incarnation: Incarnation }).meta({ example: { incarnation: '5f0c9a52-5d6b-4b0f-9a57-0f6f4f2f6f11' } }),
  ).meta({ id: 'ServiceEvent' }),
  entry: eventOf(
    'entry',
    'In order of seq in each conversation. Entries that were not acknowledged come again on the next stream',
    z.object({ conversation, entry: Entry }).meta({ example: { conversation: CONVERSATION, entry: entryExample } }),
  ).meta({ id: 'EntryEvent' }),
  member: eventOf('member', 'A user was added or removed, or got another role', MemberChange).meta({
    id: 'MemberEvent',
  }),
  members: eventOf(
    'members',
    `A change of more than ${MAX_MEMBER_EVENTS} users, in place of an event for each`,
    ManyMembers,
  ).meta({ id: 'MembersEvent' }),
  welcome: eventOf(
    'welcome',
    'Before all other events of its commit, and again on every stream until it is acknowledged',
    z.object({ id: z.string(), conversation, welcome: Base64, seq: Seq, epoch: Epoch }).meta({
      example: {
        id: '0197f0a8-4a7c-7d3e-9d52-0c1f4b6a7e10',
        conversation: CONVERSATION,
        welcome: 'AAEAAw==',
        seq: 4,
        epoch: 2,
      },
    }),
  ).meta({ id: 'WelcomeEvent' }),
  conversation: eventOf('conversation', 'A conversation is new, or changed', ConversationChange).meta({
    id: 'ConversationEvent',
  }),
  reset: eventOf(
    'reset',
    'Another conversation replaced this one',
    z
      .object({ conversation, successor: Successor })
      .meta({ example: { conversation: CONVERSATION, successor: 'Zm9sbG93LXVwLWdyb3VwMQ' } }),
  ).meta({ id: 'ResetEvent' }),
  removed: eventOf(
    'removed',
    'You are no longer a member: `seq` is the last entry that you may read. The stream stays open for the others. Without a conversation it ends the stream: an operator removed you or your device from the service',
    z
      .union([z.strictObject({ conversation, seq: Seq }), z.strictObject({})])
      .meta({ example: { conversation: CONVERSATION, seq: 12 } }),
  ).meta({ id: 'RemovedEvent' }),
  'history-truncated': eventOf(
    'history-truncated',
    truncated,
    z.object({ conversation, oldestSeq: Seq }).meta({ example: { conversation: CONVERSATION, oldestSeq: 5 } }),
  ).meta({ id: 'HistoryTruncatedEvent' }),
  'log-restarted': eventOf(
    'log-restarted',
    `${restarted}. The conversation leaves the stream, which stays open for the others`,
    z.object({ conversation, ...logEnds }).meta({ example: { conversation: CONVERSATION, lastSeq: 5, oldestSeq: 1 } }),
  ).meta({ id: 'LogRestartedEvent' }),
  'removal-wanted': eventOf(
    'removal-wanted',
    'The user, or this device of it, was removed from the service, and the service cannot propose to remove its leaves: somebody should',
    z
      .object({ conversation, seq: Seq, user: z.string(), device: z.string().optional() })
      .meta({ example: { conversation: CONVERSATION, seq: 9, user: 'bob' } }),
  ).meta({ id: 'RemovalWantedEvent' }),
  deleted: eventOf(
    'deleted',
    `${DELETED} It comes to devices that were away too, and may come again`,
    z.object({ conversation, seq: Seq }).meta({ example: { conversation: CONVERSATION, seq: 7 } }),
  ).meta({ id: 'DeletedEvent' }),
  read: eventOf(
    'read',
    'The read mark of your user moved, forward or back, by whichever device; or retention took unread messages. `seq` is the read position, `unread` the count, as they are when the event is sent. What happened before the stream began is not told: see `GET /v1/unread`',
    z
      .object({ conversation, seq: Seq, unread: z.number().int() })
      .meta({ example: { conversation: CONVERSATION, seq: 7, unread: 0 } }),
  ).meta({ id: 'ReadEvent' }),
  signal: eventOf(
    'signal',
    SIGNAL,
    z
      .object({ conversation, data: Base64, sender })
      .meta({ example: { conversation: CONVERSATION, ...signalExample } }),
  ).meta({ id: 'SignalEvent' }),
  'low-stock': eventOf(
    'low-stock',
    'Upload key packages',
    z.object({ available: z.number().int() }).meta({ example: { available: 3 } }),
  ).meta({ id: 'LowStockEvent' }),
  replaced: eventOf(
    'replaced',
    `${ENDS}The device has a newer stream, or was deleted: do not reconnect automatically`,
    nothing,
  ).meta({ id: 'ReplacedEvent' }),
  'slow-consumer': eventOf('slow-consumer', slow, nothing).meta({ id: 'SlowConsumerEvent' }),
  reconnect: CONVERSATION_EVENTS.reconnect,
} satisfies Record<StreamEvent, z.ZodType>;

/** One event of a stream. Comments between events are heartbeats. */
function oneOf(events: Readonly<Record<string, z.ZodType>>): z.ZodType {
  return z.union(Object.values(events) as [z.ZodType, z.ZodType]).meta({
    description: 'One event: lines `event:`, `id:` (only where it says so) and `data:` (JSON), then an empty line',
  });
}

export const ConversationStreamEvent = oneOf(CONVERSATION_EVENTS);
export const AccountStreamEvent = oneOf(ACCOUNT_EVENTS);
