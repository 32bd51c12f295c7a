import { z } from 'zod';
import { MAX_EPOCH_AUTHENTICATOR_BYTES, MAX_REASON_CHARACTERS, MAX_SAFE_EPOCH } from '../../domain/limits.ts';
import { Bytes, ConversationId, ConversationIdInput, Epoch } from './common.ts';

/** One line of text for people. */
export const Reason = z
  .string()
  .min(1)
  .max(MAX_REASON_CHARACTERS)
  // No control characters, and no line or paragraph separators. Generators of test data understand this form.
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
      .meta({ description: 'The entry that the device cannot process. 0 = the start of the conversation' }),
    epoch: Epoch.meta({ description: 'Epoch of the device' }),
    reason: Reason.meta({ description: 'What went wrong, for people' }),
    epochAuthenticator: Bytes.refine((bytes) => bytes.length <= MAX_EPOCH_AUTHENTICATOR_BYTES, {
      error: `must have at most ${MAX_EPOCH_AUTHENTICATOR_BYTES} bytes`,
    })
      .optional()
      .meta({
        description:
          'Epoch authenticator of the device (RFC 9420 §8.7). It shows whether the group has forks, or is stuck as a whole',
      }),
  })
  .meta({ id: 'Report', description: 'What a device cannot process. It is a vote on a reset' });

export const ReportTaken = z
  .object({
    reports: z.number().int().meta({ description: 'Votes: members of the electorate who reported within 7 days' }),
    needed: z.number().int().meta({ description: 'Votes that open a reset: more than half of the electorate' }),
    open: z.boolean().meta({
      description:
        'Whether proven members may reset the conversation: by the vote, or because an outsider joined whom nobody has followed',
    }),
  })
  .meta({ id: 'ReportTaken', description: 'How the vote stands' });

export const ResetInput = z
  .strictObject({
    successor: ConversationIdInput.meta({ description: 'Id of the new conversation. Nobody may have used it before' }),
  })
  .meta({ id: 'Reset', description: 'A new conversation in place of this one' });
export const ResetDone = z
  .object({ successor: ConversationId.meta({ description: 'The conversation that replaced this one' }) })
  .meta({ id: 'ResetDone', description: 'The conversation is replaced' });
