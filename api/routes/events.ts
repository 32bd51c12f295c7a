import type { ServerResponse } from 'node:http';
import { AppError } from '../../domain/errors.ts';
import { contextOf } from '../routing/context.ts';
import { type Route, defineRoute } from '../routing/route.ts';
import { ConversationParams, SeqQuery } from '../schemas/common.ts';
import { EventsQuery } from '../schemas/messages.ts';

/** Opens event streams. */
export interface Streams {
  /** @throws AppError `not-found` before the first byte */
  readonly open: (
    response: ServerResponse,
    target: { readonly conversation: string; readonly user: string; readonly expiresAt: number },
    after: number | 'latest',
  ) => Promise<void>;
}

/** The event stream of a conversation. */
export function eventRoutes({ streams }: { readonly streams: Streams }): Route[] {
  const events = defineRoute({
    method: 'get',
    path: '/v1/conversations/{id}/events',
    name: 'streamEvents',
    tag: 'Messages',
    summary: 'Follow the log',
    description:
      'Server-sent events. `event: entry` has `data` = the entry as in a page, and is the only one with an `id:` (its seq). It starts after `Last-Event-ID`, else after `after`, else at the first entry that you may read. Other events: `removed`, `slow-consumer`, `reconnect`. It ends with the token.',
    params: ConversationParams,
    query: EventsQuery,
    replies: { 200: { description: 'Events', mediaType: 'text/event-stream' } },
    problems: ['not-found'],
    handle: async ({ params, query, caller, request, response }) => {
      const after = lastEventId(request.headers['last-event-id']) ?? query.after ?? 0;
      contextOf(response).isStream = true;
      const target = { conversation: params.id, user: caller.user, expiresAt: caller.expiresAt };
      await streams.open(response, target, after);
      return undefined;
    },
  });
  return [events];
}

/** The position that a client resumes from. @throws AppError `malformed` */
function lastEventId(header: string | string[] | undefined): number | undefined {
  if (header === undefined || header === '') return undefined;
  const seq = SeqQuery.safeParse(header);
  if (!seq.success) throw new AppError('malformed', 'Last-Event-ID is not a seq');
  return seq.data;
}
