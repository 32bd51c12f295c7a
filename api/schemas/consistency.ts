import { z } from 'zod';
import { RUN_STATES } from '../../store/consistency/runs.ts';
import { ConversationId, ConversationIdInput, Limit, Next, Time, cursorOf, parseKey } from './common.ts';

/** Conversations that one request may have read at once. */
export const MAX_AUDITED_AT_ONCE = 20;

export const StartConsistencyAudit = z
  .strictObject({
    conversations: z.array(ConversationIdInput).min(1).max(MAX_AUDITED_AT_ONCE).optional().meta({
      description: 'These are read at once, and the answer has the findings. Absent = an audit of all begins',
    }),
  })
  .meta({ id: 'StartConsistencyAudit', description: 'What is to be read' });

export const ConsistencyQuery = z.strictObject({ cursor: cursorOf(parseKey), limit: Limit });

const Count = z.number().int();

const Finding = z.object({
  conversation: ConversationId.optional().meta({ description: 'Absent: a key package that no conversation used' }),
  rule: z.string().meta({ description: 'Name of the rule (docs/explanation/consistency.md)' }),
  details: z
    .record(z.string(), z.unknown())
    .meta({ description: 'The values that break the rule. They may name users' }),
});

export const ConsistencyFindings = z
  .object({
    checked: Count.meta({ description: 'Conversations that were read; those that do not exist are left out' }),
    found: Count.meta({ description: 'Number of findings, also of those that are not listed' }),
    findings: z.array(Finding).meta({ description: 'What breaks a rule' }),
  })
  .meta({ id: 'ConsistencyFindings', description: 'What was found in some conversations' });

export const ConsistencyRun = z
  .object({
    state: z.enum(['none', ...RUN_STATES]).meta({ description: '`none` = there was no audit yet' }),
    startedAt: Time.optional().meta({ description: 'When it began' }),
    startedBy: z.string().optional().meta({ description: 'User id of an operator. Absent = the schedule' }),
    seenAt: Time.optional().meta({ description: 'When it last came forward' }),
    finishedAt: Time.optional().meta({ description: 'When it ended' }),
    checked: Count.meta({ description: 'Conversations that were read' }),
    total: Count.meta({ description: 'Conversations that there were when it began' }),
    found: Count.meta({ description: 'Number of findings. At most 1,000 are listed' }),
    findings: z.array(Finding).meta({ description: 'What breaks a rule' }),
    next: Next,
  })
  .meta({ id: 'ConsistencyRun', description: 'The newest audit of all conversations' });
