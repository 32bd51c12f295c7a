import { z } from 'zod';
import { MAX_EPOCH_AUTHENTICATOR_BYTES, MAX_REASON_CHARACTERS, MAX_SAFE_EPOCH } from '../../domain/limits.ts';
import { Bytes, ConversationIdInput, Epoch } from './common.ts';

/** Text for people, of one line. */
export const Reason = z
  .string()
  .min(1)
  .max(MAX_REASON_CHARACTERS)
  // No control characters, and no line or paragraph separators; written so that generators of test data understand it.
  // eslint-disable-next-line no-control-regex -- these are what it refuses
  .regex(/^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$/, 'must be printable')
  // Half of a surrogate pair is no text, which PostgreSQL refuses.
  .refine((text) => !/\p{Surrogate}/u.test(text), { error: 'must be well-formed Unicode' });

export const ReportInput = z
  .strictObject({
    seq: z
      .number()
      .int()
      .min(0)
      .max(MAX_SAFE_EPOCH)
      .meta({ description: 'The entry that cannot be processed; 0 = what the conversation began with' }),
    epoch: Epoch.meta({ description: 'Where the device stands' }),
    reason: Reason,
    epochAuthenticator: Bytes.refine((bytes) => bytes.length <= MAX_EPOCH_AUTHENTICATOR_BYTES, {
      error: `must have at most ${MAX_EPOCH_AUTHENTICATOR_BYTES} bytes`,
    })
      .optional()
      .meta({ description: 'Of the device’s epoch (RFC 9420 §8.7): tells two forks from one group that is stuck' }),
  })
  .meta({ id: 'Report' });

export const ReportTaken = z
  .object({
    reports: z.number().int().meta({ description: 'Members who reported within 7 days' }),
    needed: z.number().int().meta({ description: 'Members that open a reset: more than half' }),
    open: z.boolean().meta({ description: 'Any member may reset the conversation' }),
  })
  .meta({ id: 'ReportTaken' });

export const ResetInput = z
  .strictObject({ successor: ConversationIdInput })
  .meta({ id: 'Reset', description: 'The id of the new conversation, which nobody has used' });
export const ResetDone = z.object({ successor: z.string() }).meta({ id: 'ResetDone' });
