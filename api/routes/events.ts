import type { ServerResponse } from 'node:http';
import { AppError } from '../../domain/errors.ts';
import { MAX_MEMBER_EVENTS } from '../../domain/limits.ts';
import type { Position } from '../../domain/position.ts';
import type { Caller } from '../http/caller.ts';
import { contextOf } from '../http/context.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams, PositionText } from '../schemas/common.ts';
import { AccountStreamEvent, ConversationStreamEvent } from '../schemas/events.ts';
import { EventsQuery } from '../schemas/messages.ts';
import { AccountEventsQuery } from '../schemas/stream-tickets.ts';
import type { TicketUse } from '../../store/device/stream-tickets.ts';
import type { CutOffs } from '../services/cut-offs.ts';

/** Who reads a stream, and until when. */
interface StreamReader {
  readonly user: string;
  readonly device: string;
  readonly expiresAt: number;
  /** It came with this ticket. */
  readonly ticket?: TicketUse;
  /** Whether an operator has removed it from everywhere: then the stream ends. */
  readonly isCutOff: () => boolean;
}

/** Opens event streams. */
export interface Streams {
  /** @throws AppError `not-found`, `log-restarted`, `rate-limited` before the first byte */
  readonly open: (
    response: ServerResponse,
    target: StreamReader & { readonly conversation: string },
    after: Position | 'latest',
  ) => Promise<void>;
  readonly openAccount: (response: ServerResponse, target: StreamReader) => Promise<void>;
}

const ENDS =
  '`slow-consumer`: your client read nothing for some seconds. `reconnect`: the token expires, or the server stops. Comments are heartbeats.';

const TICKET =
  'Instead of a token, a stream may be opened with a ticket (`POST /v1/stream-tickets`). A ticket that is not good any more is answered 401, after which EventSource does not connect again by itself.';

/** The event streams: of one conversation, and of all conversations of a device. */
export function eventRoutes({
  streams,
  cutOffs,
}: {
  readonly streams: Streams;
  readonly cutOffs: Pick<CutOffs, 'refuses'>;
}): Route[] {
  const readerOf = (caller: Caller): StreamReader => ({
    user: caller.user,
    device: caller.device,
    expiresAt: caller.expiresAt,
    isCutOff: () => cutOffs.refuses(caller),
    ...(caller.ticket === undefined ? {} : { ticket: caller.ticket }),
  });
  const events = defineRoute({
    method: 'get',
    path: '/v1/conversations/{id}/events',
    name: 'streamEvents',
    tag: 'Streams',
    summary: 'Follow the log',
    description: [
      'Server-sent events. `event: entry` has the entry as `data`, in the same form as in a page. Only this event has an `id:`, the position of the entry. `event: signal` {data, sender?} is a signal of a member (`POST .../signals`): it is no part of the log, and may not come at all. The stream starts after `Last-Event-ID`, else after `after`, else at the first entry that you may read.',
      '`deleted` {seq}: the body of this entry was deleted, so drop what you have of it. All other events end the stream. `removed` {seq}: this is the last entry that you may read; `seq` is absent if the conversation was deleted, or if an operator removed you or your device from the service. `reset` {successor}: another conversation replaced this one. `history-truncated` {oldestSeq}: retention deleted the next entries, so rejoin the group if you missed a commit, and continue after `oldestSeq` - 1. `log-restarted` {lastSeq, oldestSeq}: the service was restored, and the log does not go on from the last entry that you have; at the start of the stream this is 409. `slow-consumer` {after}. `replaced`, only after a start with a ticket: the ticket was used again, or its device was deleted.',
      TICKET,
      ENDS,
    ].join('\n\n'),
    params: ConversationParams,
    query: EventsQuery,
    isStream: true,
    replies: { 200: { description: 'Events', mediaType: 'text/event-stream', event: ConversationStreamEvent } },
    problems: ['not-found', 'log-restarted', 'rate-limited', 'overloaded'],
    handle: async ({ params, query, caller, request, response }) => {
      const after = lastEventId(request.headers['last-event-id']) ?? query.after ?? { seq: 0 };
      contextOf(response).isStream = true;
      await streams.open(response, { ...readerOf(caller), conversation: params.id }, after);
      return undefined;
    },
  });

  const account = defineRoute({
    method: 'get',
    path: '/v1/events',
    name: 'streamAccountEvents',
    tag: 'Streams',
    summary: 'Follow all your conversations',
    description: [
      'Server-sent events of all your conversations, for the calling device. The events have no ids. Each conversation starts after the position that the device acknowledged, or with your joining entry if there is no position. Its entries come without a gap, in order of seq. Entries that were not acknowledged come again on the next stream. A new conversation joins an open stream at once.',
      '`service` {incarnation}: the first event, and again when it changes, after which the stream ends with `reconnect`. If it is not the one that you saw last, the service was restored or a copy of its database took over. Key packages, Welcomes, read marks, push targets and acknowledgements may then be those of an earlier time: replace your key packages, register your push target again, and send your read marks and acknowledgements again. Wait for a random part of a minute first: all devices are told at once.',
      `\`entry\` {conversation, entry}. \`member\` {conversation, seq, user, change: \`added\`, \`removed\` or \`role\`, role?}: one event for each user, after the entry \`seq\`. \`members\` {conversation, seq, change: \`added\` or \`removed\`, count, url}: one event in place of those, if a change has more than ${MAX_MEMBER_EVENTS} users; \`url\` is the list of members. \`welcome\` {id, conversation, welcome, seq, epoch}: before all other events of its commit, and again on every stream until it is acknowledged. \`conversation\` {conversation, change, ..}, where change is \`new\` {seq, protocol}: you became a member with this entry; \`policy\` {seq, policy}; \`deleted\`; \`several\` {seq}: more than ${MAX_MEMBER_EVENTS} changes at the entry that you acknowledged come as this one event on the next stream, so read the conversation, its members and its deletions again; \`reset-open\` {seq}: any member may reset the conversation; or \`welcome-expired\` {seq, user, device}, or {seq, count} if more than ${MAX_MEMBER_EVENTS} expired at once. \`reset\` {conversation, successor}. \`removed\` {conversation, seq}: this is the last entry that you may read. \`history-truncated\` {conversation, oldestSeq}: entries before this one were deleted, so rejoin the group if you missed a commit. \`log-restarted\` {conversation, lastSeq, oldestSeq}: the service was restored, and the log does not go on from the last entry that this stream delivered, or that the device acknowledged. The conversation leaves the stream. Compare positions, acknowledge one that the log has, and open a new stream. \`deleted\` {conversation, seq}: the body of this entry was deleted. \`read\` {conversation, seq, unread}: your read mark moved, on whichever device. \`signal\` {conversation, data, sender?}: somebody sent a signal; it is no part of the log, and may not come at all. \`low-stock\` {available}: upload key packages.`,
      'These events end the stream. `removed` without a conversation: an operator removed you or your device from the service. `replaced`: the device has a newer stream, or was deleted, so do not reconnect automatically. `slow-consumer` and `reconnect`: reconnect.',
      TICKET,
      ENDS,
    ].join('\n\n'),
    query: AccountEventsQuery,
    isStream: true,
    replies: { 200: { description: 'Events', mediaType: 'text/event-stream', event: AccountStreamEvent } },
    problems: ['rate-limited', 'overloaded'],
    handle: async ({ caller, response }) => {
      contextOf(response).isStream = true;
      await streams.openAccount(response, readerOf(caller));
      return undefined;
    },
  });
  return [events, account];
}

/** The position after which a client resumes. @throws AppError `malformed` */
function lastEventId(header: string | string[] | undefined): Position | undefined {
  if (header === undefined || header === '') return undefined;
  const position = PositionText.safeParse(header);
  if (!position.success) throw new AppError('malformed', 'Last-Event-ID is not a position');
  return position.data;
}
