import { z } from 'zod';
import { CONSENT_MODES } from '../../domain/consent.ts';
import { Epoch, Next, Seq, Time, UserIdInput } from './common.ts';
import { Device } from './devices.ts';

export const UserParams = z.object({ user: UserIdInput });

export const AdminUser = z
  .object({
    user: z.string(),
    consent: z.enum(CONSENT_MODES).meta({ description: 'Who may invite it' }),
    devices: z.array(Device),
    welcomes: z.number().int().min(0).meta({ description: 'Welcomes that wait for its devices; counted up to 1000' }),
    erasing: z.boolean().meta({ description: 'Its data is being erased' }),
  })
  .meta({ id: 'AdminUser' });

export const AdminUserConversations = z
  .object({
    conversations: z.array(
      z.object({
        id: z.string(),
        protocol: z.enum(['mls', 'opaque']),
        role: z.enum(['admin', 'member', 'removed']),
        epoch: Epoch,
        lastSeq: Seq,
        memberCount: z.number().int(),
        unread: z.number().int(),
        createdAt: Time,
      }),
    ),
    next: Next,
  })
  .meta({ id: 'AdminUserConversations' });
