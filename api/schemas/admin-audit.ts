import { z } from 'zod';
import { ConversationIdInput, Limit, Next, Time, cursorOf, parseKey } from './common.ts';

export const AuditQuery = z.strictObject({
  conversation: ConversationIdInput.optional(),
  cursor: cursorOf(parseKey),
  limit: Limit,
});

export const AuditEntryAnswer = z.object({
  id: z.number().int(),
  at: Time,
  conversation: z.string().optional(),
  actor: z.string().meta({ description: 'User id' }),
  action: z.string(),
  details: z.record(z.string(), z.unknown()),
});

export const AuditList = z
  .object({ entries: z.array(AuditEntryAnswer), next: Next })
  .meta({ id: 'AuditList', description: 'Newest first' });
