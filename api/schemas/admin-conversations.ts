import { z } from 'zod';
import { TROUBLE_SIGNS } from '../../domain/trouble.ts';
import { MAX_MEMBERS_LIMIT } from '../../domain/limits.ts';
import { CONVERSATION_STATES } from '../../store/conversation/overview.ts';
import { parseConversationId, parseUserId } from '../../domain/ids.ts';
import {
  Base64,
  ConversationIdInput,
  Epoch,
  Limit,
  Next,
  Seq,
  Sha256,
  Time,
  cursorOf,
  parseKey,
  wholeNumber,
} from './common.ts';
import { Reason } from './repair.ts';

/** A year. Nobody asks for more, and the number stays a safe one. */
const MAX_IDLE_SECONDS = 366 * 86_400;

export const AdminConversationsQuery = z.strictObject({
  state: z
    .enum([...CONVERSATION_STATES, 'due'])
    .optional()
    .meta({ description: '`due` = the time of its timer has passed' }),
  trouble: z
    .enum([...TROUBLE_SIGNS, 'any'])
    .optional()
    .meta({ description: 'In trouble within the last 10 minutes: with this sign, or with any' }),
  minMembers: wholeNumber(0, MAX_MEMBERS_LIMIT).optional(),
  maxMembers: wholeNumber(0, MAX_MEMBERS_LIMIT).optional(),
  idleSeconds: wholeNumber(0, MAX_IDLE_SECONDS).optional().meta({ description: 'No entry for this time' }),
  cursor: cursorOf(parseConversationId),
  limit: Limit,
});

const Count = z.number().int().min(0);
const Milliseconds = z.number().int().min(0).meta({ description: 'Milliseconds' });

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
  lastAt: Time.meta({ description: 'Time of its newest entry' }),
  troubles: z.array(z.enum(TROUBLE_SIGNS)).meta({ description: 'Signs of trouble within the last 10 minutes' }),
};

export const AdminConversationList = z
  .object({
    conversations: z.array(z.object(facts)),
    next: Next.meta({
      description:
        'Value of `cursor` for the next page. Absent on the last page. A page may be empty and have one: it looks at 2000 conversations at most',
    }),
  })
  .meta({ id: 'AdminConversationList' });

/** The run of a conversation, as far as one call of Temporal says. */
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

const RunDetails = z
  .object({
    runId: z.string(),
    status: z.string().meta({ description: 'As Temporal names it: RUNNING, COMPLETED, FAILED and so on' }),
    startedAt: Time,
    historyLength: Count.meta({ description: 'Events' }),
    historyBytes: Count.optional(),
    taskAttempt: Count.optional().meta({
      description: 'The workflow task that is tried now. Above 1: its tries failed or timed out. Absent = none waits',
    }),
    lastFailure: z
      .object({ at: Time, event: z.string(), message: z.string() })
      .optional()
      .meta({ description: 'The newest failure in the last 20 events' }),
    state: z
      .object({
        health: z.enum(['healthy', 'degraded']),
        mailbox: Count.meta({ description: 'Operations that wait in the workflow' }),
        increments: Count,
        decided: Count,
        closing: z.boolean(),
        epoch: Epoch.optional(),
        lastSeq: Seq.optional(),
        asOf: Time.optional().meta({ description: 'When epoch and lastSeq were true' }),
      })
      .optional()
      .meta({ description: 'What the run says of itself. Absent: no worker answered within a second' }),
  })
  .meta({ id: 'WorkflowRunDetails' });

const Lock = z.object({
  pid: z.number().int(),
  application: z.string().optional(),
  role: z.string().optional(),
  state: z.string().optional().meta({ description: 'Of its session: active, idle in transaction and so on' }),
  transactionMs: Milliseconds.optional(),
  holds: z.boolean().meta({ description: 'True: it holds the row. False: it waits' }),
});

export const AdminConversation = z
  .object({
    ...facts,
    admins: Count.meta({ description: 'Counted up to 1000, like all counts of rows here' }),
    staged: Count.meta({ description: 'Operations whose bytes wait for a decision' }),
    oldestStagedMs: Milliseconds.optional(),
    increments: Count.meta({ description: 'Increments that were answered and are not counted yet' }),
    locks: z
      .array(Lock)
      .meta({ description: 'Sessions of the database that hold the row of the conversation or wait for it' }),
    workflow: WorkflowRun,
    run: RunDetails.optional().meta({ description: 'Absent: there is none, or Temporal does not answer' }),
    process: z
      .object({
        path: z.enum(['workflow', 'direct', 'auto']),
        mailbox: Count.meta({ description: 'Operations that wait in its queue' }),
        inFlight: Count,
        oldestMs: Milliseconds.meta({ description: 'Age of the oldest operation that waits or is in flight' }),
        streams: Count.meta({ description: 'Open streams that follow the conversation' }),
        failures: z.array(z.object({ at: Time, kind: z.string(), code: z.string(), waitedMs: Milliseconds })),
      })
      .meta({ description: 'What the process that answers knows; the others know their own part' }),
    signs: z.array(
      z.object({
        sign: z.enum(TROUBLE_SIGNS),
        firstAt: Time,
        lastAt: Time,
        seen: Count,
        details: z.record(z.string(), z.unknown()),
      }),
    ),
  })
  .meta({ id: 'AdminConversation' });

export const OperatorReason = z
  .strictObject({ reason: Reason.optional().meta({ description: 'Shown in the run and in the audit trail' }) })
  .meta({ id: 'OperatorReason' });

export const OperatorReasonQuery = z.strictObject({ reason: Reason.optional() });

export const HistoryQuery = z.strictObject({
  run: z.uuid().optional().meta({ type: 'string', format: 'uuid', description: '`runId` of the first page' }),
  cursor: z
    .string()
    .regex(/^[\w-]+$/)
    .max(4096)
    .optional()
    .meta({ description: '`next` of the previous page. It needs `run`' }),
});

export const HistoryPage = z
  .object({
    runId: z.string(),
    events: z.array(z.record(z.string(), z.unknown())).meta({ description: 'Events in the JSON form of Temporal' }),
    next: Next,
  })
  .meta({ id: 'HistoryPage' });

export const ExportBegun = z
  .object({
    export: z.number().int().meta({ description: 'Number of the export: that of its entry in the audit trail' }),
    conversation: z.object(facts),
    lastSeq: Seq.meta({ description: 'The last entry of the export' }),
  })
  .meta({ id: 'ExportBegun' });

export const ExportParams = z.object({
  id: ConversationIdInput,
  export: z
    .string()
    .transform((text, context): number => {
      const key = parseKey(text);
      if (key !== undefined) return key;
      context.addIssue('must be the number of an export');
      return z.NEVER;
    })
    .meta({ type: 'integer', minimum: 1 }),
});

export const ExportEntriesQuery = z.strictObject({
  after: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().meta({ description: 'Entries after this `seq`' }),
  limit: Limit,
});

export const ExportEntries = z
  .object({
    entries: z.array(
      z.object({
        seq: Seq,
        kind: z.enum(['application', 'commit', 'proposal']),
        id: z.string(),
        epoch: Epoch,
        sender: z.string().optional(),
        sha256: Sha256,
        ciphertext: Base64.optional().meta({ description: 'Absent: retention took the bytes' }),
        at: Time,
      }),
    ),
    next: Seq.optional().meta({ description: 'Value of `after` for the next page. Absent on the last page' }),
  })
  .meta({ id: 'ExportEntries' });

export const ExportMembersQuery = z.strictObject({ cursor: cursorOf(parseUserId), limit: Limit });

export const ExportMembers = z
  .object({
    members: z.array(
      z.object({
        user: z.string(),
        role: z.enum(['admin', 'member']),
        joinedSeq: Seq,
        joinedEpoch: Epoch,
        leftSeq: Seq.optional().meta({ description: 'Last entry that a former member may read' }),
        periods: z.array(z.object({ from: Seq, to: Seq.optional() })),
      }),
    ),
    next: Next,
  })
  .meta({ id: 'ExportMembers' });
