import { z } from 'zod';
import { POSITION_PATTERN } from '../../domain/position.ts';
import { MAX_COMPARED_POSITIONS, MAX_POSITIONS_PER_REQUEST } from '../../domain/limits.ts';
import { ConversationIdInput, PositionAnswer, PositionInput, Seq } from './common.ts';

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
        .record(ConversationIdInput, PositionInput)
        .refine((positions) => Object.keys(positions).length <= MAX_POSITIONS_PER_REQUEST, {
          error: `at most ${MAX_POSITIONS_PER_REQUEST} positions`,
        }),
    ).meta({
      type: 'object',
      additionalProperties: {
        anyOf: [
          { type: 'string', pattern: POSITION_PATTERN },
          { type: 'integer', minimum: 0 },
        ],
        description: 'A position, or a seq',
      },
      description: 'Position of the last entry that was processed, by conversation id',
      example: { q83vEjRWeJASNFZ4kBI0Vg: '7.SnIKT3VOB9J7jEGM' },
    }),
  })
  .meta({ id: 'Acknowledgement', description: 'How far the device has processed its conversations' });

/** What there is of a log that does not go on from a position. */
const LogEnds = z.object({
  lastSeq: Seq.meta({ description: 'The last entry that you may read' }),
  oldestSeq: Seq.meta({ description: 'The oldest entry that still exists' }),
});

export const PositionsAcknowledged = z
  .object({
    positions: Positions,
    restarted: z.record(z.string(), LogEnds).meta({
      description:
        'Conversations whose log does not go on from the position that you sent. For them nothing was stored',
      example: {},
    }),
  })
  .meta({ id: 'Positions', description: 'What is stored now for the device' });

export const ComparedPositions = z
  .strictObject({
    positions: z.array(PositionInput).min(1).max(MAX_COMPARED_POSITIONS).meta({ description: 'In any order' }),
  })
  .meta({ id: 'ComparedPositions', description: 'Positions of a log that you have read' });

export const AgreedPosition = z
  .object({
    agreed: PositionAnswer.nullable().meta({ description: 'The greatest of them that this log has; null = none' }),
  })
  .meta({ id: 'AgreedPosition', description: 'How far your log and this one are the same' });
