import { z } from 'zod';
import { OFF_BOARDING_REASONS } from '../../store/off-boarding/off-boardings.ts';
import { Base64, DeviceId, DeviceIdInput, Time, UserId } from './common.ts';

const CipherSuite = z.coerce
  .number()
  .int()
  .min(1)
  .max(0xffff)
  .meta({ description: 'Number of the cipher suite (RFC 9420 §17.1)' });

export const ExternalSenderQuery = z.object({ cipherSuite: CipherSuite });

export const ExternalSender = z
  .object({
    cipherSuite: z.number().int().meta({ description: 'Number of the cipher suite (RFC 9420 §17.1)' }),
    externalSender: Base64.meta({
      description:
        'The ExternalSender (RFC 9420 §12.1.8.1): signature key and credential. One element of `external_senders`',
    }),
  })
  .meta({ id: 'ExternalSender', description: 'How the service proposes removals in a group' });

export const RotatedSenders = z
  .object({ retired: z.number().int().meta({ description: 'Number of keys that were replaced' }) })
  .meta({ id: 'RotatedSenders', description: 'The service signs with new keys' });

const Why = z.enum(OFF_BOARDING_REASONS).meta({ description: 'Why; it stands in the audit trail' });
const device = DeviceIdInput.optional().meta({ description: 'Only this device of the user. Absent = the whole user' });

export const OffBoardingInput = z
  .strictObject({ reason: Why, device })
  .meta({ id: 'OffBoardingInput', description: 'Whom to remove from everywhere, and why' });

export const OffBoardingQuery = z.object({ device });

export const OffBoarding = z
  .object({
    user: UserId,
    device: DeviceId.optional().meta({ description: 'Only this device. Absent = the whole user' }),
    reason: Why,
    startedBy: z.string().meta({ description: 'User id of the operator' }),
    startedAt: Time.meta({ description: 'When it began' }),
    undoneAt: Time.optional().meta({ description: 'When it was taken back' }),
    state: z.enum(['working', 'waiting', 'done', 'undoing', 'undone']).meta({
      description:
        '`working`: conversations are being reached. `waiting`: all were, and some groups wait for a commit of a member. `done`: no group has a leaf any more',
    }),
    total: z.number().int().meta({ description: 'Conversations to work off' }),
    done: z.number().int().meta({ description: 'Conversations whose groups have lost the leaves' }),
    waiting: z.number().int().meta({ description: 'Conversations that wait for a commit of a member' }),
  })
  .meta({ id: 'OffBoarding', description: 'How far the removal of a user or a device is' });
