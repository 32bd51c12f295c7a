import { z } from 'zod';
import { MAX_MEMBER_EVENTS } from '../../domain/limits.ts';
import type { StreamEvent } from '../../streams/event.ts';
import {
  Base64,
  ConversationId,
  DeviceId,
  Incarnation,
  MemberRole,
  PositionAnswer,
  Protocol,
  Seq,
  UnreadCount,
  UserId,
} from './common.ts';
import { Entry } from './messages.ts';
import { Policy } from './policy.ts';
import { welcomeFacts } from './welcomes.ts';

/** One event of a stream, as the document shows it: its name, its id if it has one, and its data (JSON in one `data:` line). */
function eventOf<N extends StreamEvent, T extends z.ZodType>(
  schema: string,
  name: N,
  description: string,
  data: T,
  example: z.input<T>,
  position?: z.ZodString,
) {
  const id = position === undefined ? {} : { id: position.meta({ description: 'The position of the entry' }) };
  const sent = { event: name, ...(position === undefined ? {} : { id: POSITION }), data: example };
  return z
    .object({ event: z.literal(name).meta({ description: 'Name of the event' }), ...id, data })
    .meta({ id: schema, description, example: sent });
}

/** What an event carries. */
const dataOf = <S extends z.core.$ZodLooseShape>(shape: S): z.ZodObject<S> =>
  z.object(shape).meta({ description: 'What the event carries: JSON in one `data:` line' });

const CONVERSATION = 'q83vEjRWeJASNFZ4kBI0Vg';
const SUCCESSOR = 'Zm9sbG93LXVwLWdyb3VwMQ';
const POSITION = '7.SnIKT3VOB9J7jEGM';
const nothing = dataOf({});

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
const logEnds = {
  lastSeq: Seq.meta({ description: 'The last entry that you may read now' }),
  oldestSeq: Seq.meta({ description: 'The oldest entry that exists' }),
};
const restarted =
  'The log does not go on from the last entry that you have: the service was restored, and entries are gone or others';
const truncated = 'Retention deleted the entries before `oldestSeq`: rejoin the group if you missed a commit';

const conversation = ConversationId;
const successor = ConversationId.meta({ description: 'The conversation that replaced this one', example: SUCCESSOR });
const lastReadable = Seq.meta({ description: 'The last entry that you may read' });
const deletedSeq = Seq.meta({ description: 'The entry whose body was deleted' });
const oldestSeq = logEnds.oldestSeq;

const signal = {
  data: Base64.meta({ description: 'The signal, as it was sent' }),
  sender: UserId.optional().meta({
    description: 'Only in `opaque` conversations: in `mls` the service names no sender',
  }),
};
const signalExample = { data: 'AgAAAAAAAAADq83vEjRWeJASNFZ4kBI0Vg==' } as const;
const SIGNAL =
  'Somebody sent a signal. It is no part of the log: it comes to streams that are open and not behind, and may not come at all';

/** Events of the stream of one conversation, by name. */
export const CONVERSATION_EVENTS = {
  entry: eventOf('ConversationEntryEvent', 'entry', 'The only event with an id', Entry, entryExample, PositionAnswer),
  deleted: eventOf(
    'ConversationDeletedEvent',
    'deleted',
    `${DELETED} Without an id. It may come again after a reconnect`,
    dataOf({ seq: deletedSeq }),
    { seq: 7 },
  ),
  signal: eventOf('ConversationSignalEvent', 'signal', SIGNAL, dataOf(signal), signalExample),
  removed: eventOf(
    'ConversationRemovedEvent',
    'removed',
    `${ENDS}You are no longer a member, or an operator removed you from the service`,
    dataOf({
      seq: Seq.optional().meta({
        description: 'The last entry that you may read. Absent: the conversation was deleted',
      }),
    }),
    { seq: 12 },
  ),
  reset: eventOf(
    'ConversationResetEvent',
    'reset',
    `${ENDS}Another conversation replaced this one`,
    dataOf({ successor }),
    { successor: SUCCESSOR },
  ),
  'history-truncated': eventOf(
    'ConversationHistoryTruncatedEvent',
    'history-truncated',
    `${ENDS}${truncated}, and continue after \`oldestSeq\` - 1`,
    dataOf({ oldestSeq }),
    { oldestSeq: 5 },
  ),
  'log-restarted': eventOf('ConversationLogRestartedEvent', 'log-restarted', `${ENDS}${restarted}`, dataOf(logEnds), {
    lastSeq: 5,
    oldestSeq: 1,
  }),
  'slow-consumer': eventOf(
    'ConversationSlowConsumerEvent',
    'slow-consumer',
    `${slow} after \`after\``,
    dataOf({ after: Seq.meta({ description: 'The last entry that was sent' }) }),
    { after: 7 },
  ),
  replaced: eventOf(
    'ConversationReplacedEvent',
    'replaced',
    `${ENDS}Only of a stream that a ticket opened: the ticket was used again, or its device was deleted`,
    nothing,
    {},
  ),
  reconnect: eventOf('ReconnectEvent', 'reconnect', reconnect, nothing, {}),
} satisfies Partial<Record<StreamEvent, z.ZodType>>;

const change = <C extends string>(name: C, description: string): z.ZodLiteral<C> =>
  z.literal(name).meta({ description });
const countOf = (what: string): z.ZodNumber =>
  z
    .number()
    .int()
    .meta({ description: `Number of ${what}` });
const changeSeq = Seq.meta({ description: 'The entry that it comes after' });

const MemberChange = dataOf({
  conversation,
  seq: changeSeq,
  user: UserId,
  change: z.enum(['added', 'removed', 'role']).meta({ description: 'What happened to the user' }),
  role: MemberRole.optional().meta({ description: 'With `role` only' }),
});

const ManyMembers = dataOf({
  conversation,
  seq: changeSeq,
  change: z.enum(['added', 'removed']).meta({ description: 'What happened to the users' }),
  count: countOf('users'),
  url: z.string().meta({ description: 'Path of the list of members' }),
});

const expired = change('welcome-expired', 'Devices did not join in time');
const ConversationChange = z
  .union([
    z.object({
      conversation,
      change: change('new', 'You became a member with this entry'),
      seq: Seq,
      protocol: Protocol,
    }),
    z.object({ conversation, change: change('policy', 'An admin changed the policy'), seq: changeSeq, policy: Policy }),
    z.object({ conversation, change: change('deleted', 'The conversation was deleted, for everybody') }),
    z.object({
      conversation,
      change: change(
        'several',
        `More than ${MAX_MEMBER_EVENTS} changes at the entry that you acknowledged come as this one: read the conversation, its members and its deletions again`,
      ),
      seq: changeSeq,
    }),
    z.object({
      conversation,
      change: change('reset-open', 'Any proven member may reset the conversation'),
      seq: changeSeq,
    }),
    z.object({ conversation, change: expired, seq: changeSeq, user: UserId, device: DeviceId }),
    z.object({
      conversation,
      change: expired,
      seq: changeSeq,
      count: countOf(`devices, in place of user and device for more than ${MAX_MEMBER_EVENTS} at once`),
    }),
  ])
  .meta({
    description: 'What the event carries: JSON in one `data:` line. Which fields there are depends on `change`',
  });

/** Events of the stream of all conversations of a device, by name. None has an id. */
export const ACCOUNT_EVENTS = {
  service: eventOf(
    'ServiceEvent',
    'service',
    'The first event of each stream, and again if `incarnation` changes: then the stream ends with `reconnect`. Another incarnation than before: the database was restored, or a copy took over, and what the service knew may be older. Replace your key packages, register your push target again, send your acknowledgements and read marks again, and compare your conversations',
    dataOf({ incarnation: Incarnation }),
    { incarnation: '5f0c9a52-5d6b-4b0f-9a57-0f6f4f2f6f11' },
  ),
  entry: eventOf(
    'EntryEvent',
    'entry',
    'In order of seq in each conversation. Entries that were not acknowledged come again on the next stream',
    dataOf({ conversation, entry: Entry }),
    { conversation: CONVERSATION, entry: entryExample },
  ),
  member: eventOf('MemberEvent', 'member', 'A user was added or removed, or got another role', MemberChange, {
    conversation: CONVERSATION,
    seq: 4,
    user: 'bob',
    change: 'added',
  }),
  members: eventOf(
    'MembersEvent',
    'members',
    `A change of more than ${MAX_MEMBER_EVENTS} users, in place of an event for each`,
    ManyMembers,
    {
      conversation: CONVERSATION,
      seq: 4,
      change: 'added',
      count: 500,
      url: `/v1/conversations/${CONVERSATION}/members`,
    },
  ),
  welcome: eventOf(
    'WelcomeEvent',
    'welcome',
    'Before all other events of its commit, and again on every stream until it is acknowledged',
    dataOf(welcomeFacts),
    {
      id: '0197f0a8-4a7c-7d3e-9d52-0c1f4b6a7e10',
      conversation: CONVERSATION,
      welcome: 'AAEAAw==',
      seq: 4,
      epoch: 2,
    },
  ),
  conversation: eventOf('ConversationEvent', 'conversation', 'A conversation is new, or changed', ConversationChange, {
    conversation: CONVERSATION,
    change: 'new',
    seq: 4,
    protocol: 'mls',
  }),
  reset: eventOf('ResetEvent', 'reset', 'Another conversation replaced this one', dataOf({ conversation, successor }), {
    conversation: CONVERSATION,
    successor: SUCCESSOR,
  }),
  removed: eventOf(
    'RemovedEvent',
    'removed',
    'You are no longer a member. The stream stays open for the others. Without a conversation it ends the stream: an operator removed you or your device from the service',
    z
      .union([z.strictObject({ conversation, seq: lastReadable }), z.strictObject({})])
      .meta({ description: 'What the event carries: JSON in one `data:` line' }),
    { conversation: CONVERSATION, seq: 12 },
  ),
  'history-truncated': eventOf(
    'HistoryTruncatedEvent',
    'history-truncated',
    truncated,
    dataOf({ conversation, oldestSeq }),
    { conversation: CONVERSATION, oldestSeq: 5 },
  ),
  'log-restarted': eventOf(
    'LogRestartedEvent',
    'log-restarted',
    `${restarted}. The conversation leaves the stream, which stays open for the others`,
    dataOf({ conversation, ...logEnds }),
    { conversation: CONVERSATION, lastSeq: 5, oldestSeq: 1 },
  ),
  'removal-wanted': eventOf(
    'RemovalWantedEvent',
    'removal-wanted',
    'The user, or this device of it, was removed from the service, and the service cannot propose to remove its leaves: somebody should',
    dataOf({
      conversation,
      seq: changeSeq,
      user: UserId,
      device: DeviceId.optional().meta({ description: 'Only this device. Absent = the whole user' }),
    }),
    { conversation: CONVERSATION, seq: 9, user: 'bob' },
  ),
  deleted: eventOf(
    'DeletedEvent',
    'deleted',
    `${DELETED} It comes to devices that were away too, and may come again`,
    dataOf({ conversation, seq: deletedSeq }),
    { conversation: CONVERSATION, seq: 7 },
  ),
  read: eventOf(
    'ReadEvent',
    'read',
    'The read mark of your user moved, forward or back, by whichever device; or retention took unread messages. The values are those of the moment when the event is sent. What happened before the stream began is not told: see `GET /v1/unread`',
    dataOf({ conversation, seq: Seq.meta({ description: 'The read position' }), unread: UnreadCount }),
    { conversation: CONVERSATION, seq: 7, unread: 0 },
  ),
  signal: eventOf('SignalEvent', 'signal', SIGNAL, dataOf({ conversation, ...signal }), {
    conversation: CONVERSATION,
    ...signalExample,
  }),
  'low-stock': eventOf(
    'LowStockEvent',
    'low-stock',
    'Upload key packages',
    dataOf({ available: countOf('key packages in store, without the last resort') }),
    { available: 3 },
  ),
  replaced: eventOf(
    'ReplacedEvent',
    'replaced',
    `${ENDS}The device has a newer stream, or was deleted: do not reconnect automatically`,
    nothing,
    {},
  ),
  'slow-consumer': eventOf('SlowConsumerEvent', 'slow-consumer', slow, nothing, {}),
  reconnect: CONVERSATION_EVENTS.reconnect,
} satisfies Record<StreamEvent, z.ZodType>;

/** One event of a stream. Comments between events are heartbeats. */
function oneOf(id: string, events: Readonly<Record<string, z.core.$ZodTypeDiscriminable>>): z.ZodType {
  const [first, ...others] = Object.values(events);
  if (first === undefined) throw new Error('a stream has events');
  return z.discriminatedUnion('event', [first, ...others]).meta({
    id,
    description: 'One event: lines `event:`, `id:` (only where it says so) and `data:` (JSON), then an empty line',
  });
}

export const ConversationStreamEvent = oneOf('ConversationStreamEvent', CONVERSATION_EVENTS);
export const AccountStreamEvent = oneOf('AccountStreamEvent', ACCOUNT_EVENTS);
