import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { acknowledge } from '../../store/device/positions.ts';
import { findAgreed } from '../../store/log/positions.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams } from '../schemas/common.ts';
import { AgreedPosition, ComparedPositions, PositionsAcknowledged, PositionsInput } from '../schemas/positions.ts';

/** Positions of the calling device. */
export function positionRoutes({ pool }: { readonly pool: pg.Pool }): Route[] {
  const ack = defineRoute({
    method: 'post',
    path: '/v1/ack',
    name: 'acknowledge',
    tag: 'Messages',
    summary: 'Acknowledge positions',
    description:
      'The position of the calling device is the last entry of a conversation that it has processed and stored. Its stream `/v1/events` continues after these positions. Position 0 says that the device knows the conversation as it was created: its members do not come again. Positions only move forward: a lower one changes nothing. The answer leaves out conversations that you may not see. Send positions: one that the log does not have is told in `restarted`, and not stored. If one plain seq is above the last entry that you may read, all are refused. A stored position that the log does not have any more is replaced, also by a lower one.',
    shedding: 'never',
    body: PositionsInput,
    replies: { 200: { description: 'The positions of the device after this request', schema: PositionsAcknowledged } },
    problems: ['position-ahead'],
    handle: async ({ body, caller }) => {
      const result = await acknowledge(pool, caller, new Map(Object.entries(body.positions)));
      if (result.status === 'stored') {
        const { positions, restarted } = result;
        return reply(200, { positions, restarted });
      }
      const { conversation, lastSeq } = result;
      throw new AppError('position-ahead', undefined, { conversation, lastSeq });
    },
  });
  const compare = defineRoute({
    method: 'post',
    path: '/v1/conversations/{id}/positions',
    name: 'comparePositions',
    tag: 'Messages',
    summary: 'Find the last position that you and the log have in common',
    description:
      'For clients that got `log-restarted`. Only positions that you may read count; a plain seq, and a position of which the log has no value (any more), cannot be compared.',
    params: ConversationParams,
    body: ComparedPositions,
    replies: { 200: { description: 'Compared', schema: AgreedPosition } },
    problems: ['not-found'],
    handle: async ({ params, body, caller }) => {
      const agreed = await findAgreed(pool, params.id, caller.user, body.positions);
      if (agreed === undefined) throw new AppError('not-found');
      return reply(200, { agreed });
    },
  });
  return [ack, compare];
}
