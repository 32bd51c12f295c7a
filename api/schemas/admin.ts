import { z } from 'zod';
import { CONVERSATION_STATES } from '../../store/conversation/overview.ts';
import { parseConversationId } from '../../domain/ids.ts';
import { ConversationIdInput, Epoch, Limit, Next, Seq, Time, cursorOf, parseKey } from './common.ts';
import { Reason } from './repair.ts';

export const AdminConversationsQuery = z.strictObject({
  state: z
    .enum([...CONVERSATION_STATES, 'due'])
    .optional()
    .meta({ description: '`due` = the time of its timer has passed' }),
  cursor: cursorOf(parseConversationId),
  limit: Limit,
});

const facts = {
  id: z.string(),
  protocol: z.enum(['mls', 'opaque']),
  epoch: Epoch,
  lastSeq: Seq,
  memberCount: z.number().int(),
  oldestSeq: Seq.meta({ description: 'Retention deleted the entries before this one' }),
  state: z.enum(CONVERSATION_STATES),
  successor: z.string().optional(),
  dueAt: Time.optional().meta({ description: 'Time of its next timer' }),
  createdAt: Time,
};

export const AdminConversationList = z
  .object({ conversations: z.array(z.object(facts)), next: Next })
  .meta({ id: 'AdminConversationList' });

export const WorkflowRun = z
  .object({
    id: z.string(),
    url: z
      .url()
      .optional()
      .meta({ type: 'string', format: 'uri', description: 'Page of the run in the Temporal Web UI' }),
    running: z.boolean().optional().meta({ description: 'Absent while Temporal does not answer' }),
  })
  .meta({ id: 'WorkflowRun' });

export const AdminConversation = z.object({ ...facts, workflow: WorkflowRun }).meta({ id: 'AdminConversation' });

export const OperatorReason = z
  .strictObject({ reason: Reason.optional().meta({ description: 'Shown in the run and in the audit trail' }) })
  .meta({ id: 'OperatorReason' });

export const AuditQuery = z.strictObject({
  conversation: ConversationIdInput.optional(),
  cursor: cursorOf(parseKey),
  limit: Limit,
});

export const AuditList = z
  .object({
    entries: z.array(
      z.object({
        id: z.number().int(),
        at: Time,
        conversation: z.string().optional(),
        actor: z.string().meta({ description: 'User id' }),
        action: z.string(),
        details: z.record(z.string(), z.unknown()),
      }),
    ),
    next: Next,
  })
  .meta({ id: 'AuditList', description: 'Newest first' });
