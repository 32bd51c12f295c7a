import { z } from 'zod';
import { MAX_POSITIONS_PER_REQUEST } from '../../domain/limits.ts';
import { ConversationIdInput, Seq } from './common.ts';

export const Positions = z
  .record(z.string(), Seq)
  .meta({ description: 'Seq by conversation id', example: { q83vEjRWeJASNFZ4kBI0Vg: 7 } });

// Zod leaves out the name `__proto__`, which is no conversation id, so that nothing would tell the client of it.
const WithoutProto = z.custom<Record<string, unknown>>(
  (value) => typeof value !== 'object' || value === null || !Object.hasOwn(value, '__proto__'),
  'keys must be conversation ids',
);

export const PositionsInput = z
  .strictObject({
    positions: WithoutProto.pipe(
      z
        .record(ConversationIdInput, Seq)
        .refine((positions) => Object.keys(positions).length <= MAX_POSITIONS_PER_REQUEST, {
          error: `at most ${MAX_POSITIONS_PER_REQUEST} positions`,
        }),
    ).meta({
      type: 'object',
      additionalProperties: { type: 'integer', minimum: 0, description: 'Position in the log, from 1' },
      description: 'Seq of the last entry that was processed, by conversation id',
    }),
  })
  .meta({ id: 'Acknowledgement' });

export const PositionsAcknowledged = z.object({ positions: Positions }).meta({ id: 'Positions' });
