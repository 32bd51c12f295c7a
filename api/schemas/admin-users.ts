import { z } from 'zod';
import { CONSENT_MODES } from '../../domain/consent.ts';
import { Next, UnreadCount, UserId, UserIdInput } from './common.ts';
import { conversationFacts } from './conversations.ts';
import { Device } from './devices.ts';

export const UserParams = z.object({ user: UserIdInput });

export const AdminUser = z
  .object({
    user: UserId,
    consent: z.enum(CONSENT_MODES).meta({ description: 'Who may invite it' }),
    devices: z.array(Device).meta({ description: 'Its devices' }),
    welcomes: z.number().int().min(0).meta({ description: 'Welcomes that wait for its devices; counted up to 1000' }),
    erasing: z.boolean().meta({ description: 'Its data is being erased' }),
  })
  .meta({ id: 'AdminUser', description: 'What the service knows of a user' });

export const AdminUserConversations = z
  .object({
    conversations: z
      .array(
        z.object({
          ...conversationFacts,
          role: z.enum(['admin', 'member', 'removed']).meta({ description: 'Its role' }),
          unread: UnreadCount,
        }),
      )
      .meta({ description: 'In order of id' }),
    next: Next,
  })
  .meta({ id: 'AdminUserConversations', description: 'A page of the conversations of a user' });
