import { z } from 'zod';
import { MAX_POSITIONS_PER_REQUEST } from '../../domain/limits.ts';
import { ConversationIdInput, Seq } from './common.ts';

export const Positions = z
  .record(z.string(), Seq)
  .meta({ description: 'Seq by conversation id', example: { q83vEjRWeJASNFZ4kBI0Vg: 7 } });

export const PositionsInput = z
  .strictObject({
    positions: z
      .record(ConversationIdInput, Seq)
      .refine((positions) => Object.keys(positions).length <= MAX_POSITIONS_PER_REQUEST, {
        error: `at most ${MAX_POSITIONS_PER_REQUEST} positions`,
      })
      .meta({ description: 'Seq of the last entry that was processed, by conversation id' }),
  })
  .meta({ id: 'Acknowledgement' });

export const PositionsAcknowledged = z.object({ positions: Positions }).meta({ id: 'Positions' });
