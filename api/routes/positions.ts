import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { acknowledge } from '../../store/device/positions.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { PositionsAcknowledged, PositionsInput } from '../schemas/positions.ts';

/** How far the calling device has come. */
export function positionRoutes({ pool }: { readonly pool: pg.Pool }): Route[] {
  const ack = defineRoute({
    method: 'post',
    path: '/v1/ack',
    name: 'acknowledge',
    tag: 'Messages',
    summary: 'Acknowledge positions',
    description:
      'Of the calling device: the last entry of each conversation that it has processed and stored. From there its stream `/v1/events` goes on. Positions move forward only; a lower one changes nothing. Conversations that you may not see are left out of the answer. A position above the last entry that you may read refuses all.',
    body: PositionsInput,
    replies: { 200: { description: 'The positions of the device after it', schema: PositionsAcknowledged } },
    problems: ['position-ahead'],
    handle: async ({ body, caller }) => {
      const result = await acknowledge(pool, caller, new Map(Object.entries(body.positions)));
      if (result.status === 'stored') return reply(200, { positions: result.positions });
      const { conversation, lastSeq } = result;
      throw new AppError('position-ahead', undefined, { conversation, lastSeq });
    },
  });
  return [ack];
}
