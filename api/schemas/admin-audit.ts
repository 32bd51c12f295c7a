import { z } from 'zod';
import { ConversationId, ConversationIdInput, Limit, Next, Time, cursorOf, parseKey } from './common.ts';

export const AuditQuery = z.strictObject({
  conversation: ConversationIdInput.optional(),
  cursor: cursorOf(parseKey),
  limit: Limit,
});

export const AuditEntryAnswer = z.object({
  id: z.number().int().meta({ description: 'Number of the entry' }),
  at: Time.meta({ description: 'When it was done' }),
  conversation: ConversationId.optional(),
  actor: z.string().meta({ description: 'User id' }),
  action: z.string().meta({ description: 'What was done' }),
  details: z.record(z.string(), z.unknown()).meta({ description: 'More about it; the fields depend on the action' }),
});

export const AuditList = z
  .object({ entries: z.array(AuditEntryAnswer).meta({ description: 'The newest first' }), next: Next })
  .meta({ id: 'AuditList', description: 'A page of the audit trail' });
