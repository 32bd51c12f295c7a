import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { acknowledge } from '../../store/device/positions.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { PositionsAcknowledged, PositionsInput } from '../schemas/positions.ts';

/** Positions of the calling device. */
export function positionRoutes({ pool }: { readonly pool: pg.Pool }): Route[] {
  const ack = defineRoute({
    method: 'post',
    path: '/v1/ack',
    name: 'acknowledge',
    tag: 'Messages',
    summary: 'Acknowledge positions',
    description:
      'The position of the calling device is the last entry of a conversation that it has processed and stored. Its stream `/v1/events` continues after these positions. Position 0 says that the device knows the conversation as it was created: its members do not come again. Positions only move forward: a lower one changes nothing. The answer leaves out conversations that you may not see. If one position is above the last entry that you may read, all positions are refused.',
    shedding: 'never',
    body: PositionsInput,
    replies: { 200: { description: 'The positions of the device after this request', schema: PositionsAcknowledged } },
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
