import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { StreamTicket, StreamTicketRequest } from '../schemas/stream-tickets.ts';
import type { ConversationCache } from '../services/conversation-cache.ts';
import type { StreamTickets } from '../services/stream-tickets.ts';

/** Tickets for the streams of `events.ts`. */
export function streamTicketRoutes(deps: {
  readonly streamTickets: StreamTickets;
  readonly conversations: Pick<ConversationCache, 'admit'>;
}): Route[] {
  const make = defineRoute({
    method: 'post',
    path: '/v1/stream-tickets',
    name: 'makeStreamTicket',
    tag: 'Streams',
    summary: 'Get a ticket for a stream',
    description:
      "A browser's EventSource cannot send a token, so it opens a stream with `?ticket=`. The ticket is good for this one stream, with the rights of the calling user and device. It must be used before `expiresAt`, within 30 seconds. After that it opens only the same stream again, as often as EventSource connects again, until the token expires with which it was made; each time the older connection ends. A ticket is a secret: keep query strings of streams out of the logs of proxies.",
    body: StreamTicketRequest,
    replies: { 201: { description: 'A ticket', schema: StreamTicket } },
    problems: ['not-found'],
    handle: async ({ body: { path }, caller }) => {
      const { conversation } = path;
      if (conversation !== undefined) await deps.conversations.admit(conversation, caller.user, 'member');
      const { ticket, expiresAt } = await deps.streamTickets.make(caller, conversation);
      // Not kept for an Idempotency-Key, since tickets are stored nowhere.
      return { ...reply(201, { ticket, expiresAt: expiresAt.toISOString() }), isFinal: false };
    },
  });
  return [make];
}
