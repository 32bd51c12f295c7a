import { z } from 'zod';
import { parseConversationId } from '../../domain/ids.ts';
import { Time } from './common.ts';

const STREAM = /^\/v1\/(?:events|conversations\/([^/?#]+)\/events)(?:\?[^#]*)?$/;

/** Path of a stream, as its conversation; of the stream of all conversations, without one. */
const StreamPath = z
  .string()
  .transform((path, context) => {
    const match = STREAM.exec(path);
    const id = match?.[1];
    const conversation = id === undefined ? undefined : parseConversationId(id);
    if (match !== null && (id === undefined || conversation !== undefined)) return { conversation };
    context.addIssue('must be /v1/events or /v1/conversations/{id}/events');
    return z.NEVER;
  })
  .meta({
    type: 'string',
    pattern: '^/v1/(events|conversations/[A-Za-z0-9_-]{2,86}/events)',
    description: 'Path of the stream: `/v1/events` or `/v1/conversations/{id}/events`. A query is not looked at',
    example: '/v1/conversations/q83vEjRWeJASNFZ4kBI0Vg/events',
  });

export const StreamTicketRequest = z
  .strictObject({ path: StreamPath })
  .meta({ id: 'StreamTicketRequest', description: 'Which stream the ticket is for' });
export const StreamTicket = z
  .object({
    ticket: z.string().meta({ description: 'Value of `ticket` in the query of the stream' }),
    expiresAt: Time.meta({ description: 'The stream must be opened for the first time before this' }),
  })
  .meta({ id: 'StreamTicket', description: 'Opens one stream in place of a token' });

/** The ticket in the query of a stream. Nothing else has one. */
export const Ticket = z
  .string()
  .optional()
  .meta({ description: 'Instead of the header Authorization: from `POST /v1/stream-tickets`, for this stream' });

/** Other names are not looked at, as before there was a query. */
export const AccountEventsQuery = z.object({ ticket: Ticket });
