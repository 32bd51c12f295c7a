import { z } from 'zod';
import { OFF_BOARDING_REASONS } from '../../store/off-boarding/off-boardings.ts';
import { Base64, DeviceIdInput, Time } from './common.ts';

const CipherSuite = z.coerce
  .number()
  .int()
  .min(1)
  .max(0xffff)
  .meta({ description: 'Number of the cipher suite (RFC 9420 §17.1)' });

export const ExternalSenderQuery = z.object({ cipherSuite: CipherSuite });

export const ExternalSender = z
  .object({
    cipherSuite: z.number().int(),
    externalSender: Base64.meta({
      description:
        'The ExternalSender (RFC 9420 §12.1.8.1): signature key and credential. One element of `external_senders`',
    }),
  })
  .meta({ id: 'ExternalSender' });

export const RotatedSenders = z
  .object({ retired: z.number().int().meta({ description: 'Number of keys that were replaced' }) })
  .meta({ id: 'RotatedSenders' });

const device = DeviceIdInput.optional().meta({ description: 'Only this device of the user. Absent = the whole user' });

export const OffBoardingInput = z
  .strictObject({ reason: z.enum(OFF_BOARDING_REASONS), device })
  .meta({ id: 'OffBoardingInput' });

export const OffBoardingQuery = z.object({ device });

export const OffBoarding = z
  .object({
    user: z.string(),
    device: z.string().optional(),
    reason: z.enum(OFF_BOARDING_REASONS),
    startedBy: z.string(),
    startedAt: Time,
    undoneAt: Time.optional(),
    state: z.enum(['working', 'waiting', 'done', 'undoing', 'undone']).meta({
      description:
        '`working`: conversations are being reached. `waiting`: all were, and some groups wait for a commit of a member. `done`: no group has a leaf any more',
    }),
    total: z.number().int().meta({ description: 'Conversations to work off' }),
    done: z.number().int().meta({ description: 'Conversations whose groups have lost the leaves' }),
    waiting: z.number().int().meta({ description: 'Conversations that wait for a commit of a member' }),
  })
  .meta({ id: 'OffBoarding' });
