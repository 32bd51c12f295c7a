import { z } from 'zod';
import { TROUBLE_SIGNS } from '../../domain/trouble.ts';
import { MAX_MEMBERS_LIMIT } from '../../domain/limits.ts';
import { CONVERSATION_STATES } from '../../store/conversation/overview.ts';
import { parseConversationId, parseUserId } from '../../domain/ids.ts';
import {
  Base64,
  ConversationId,
  ConversationIdInput,
  Epoch,
  Limit,
  MemberCount,
  MemberRole,
  Next,
  OperationId,
  Protocol,
  Seq,
  Sha256,
  Time,
  UserId,
  cursorOf,
  parseKey,
  wholeNumber,
} from './common.ts';
import { ReadablePeriods } from './conversations.ts';
import { Kind } from './messages.ts';
import { Reason } from './repair.ts';
import { TroubleDetails, troubleFacts } from './trouble.ts';

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
  minMembers: wholeNumber(0, MAX_MEMBERS_LIMIT).optional().meta({ description: 'With so many members or more' }),
  maxMembers: wholeNumber(0, MAX_MEMBERS_LIMIT).optional().meta({ description: 'With so many members or fewer' }),
  idleSeconds: wholeNumber(0, MAX_IDLE_SECONDS).optional().meta({ description: 'No entry for this time' }),
  cursor: cursorOf(parseConversationId),
  limit: Limit,
});

const Count = z.number().int().min(0);
const Milliseconds = z.number().int().min(0).meta({ description: 'Milliseconds' });

const facts = {
  id: ConversationId,
  protocol: Protocol,
  epoch: Epoch,
  lastSeq: Seq.meta({ description: 'Position of the last entry of the log; 0 = there is none' }),
  memberCount: MemberCount,
  oldestSeq: Seq.meta({ description: 'Retention deleted the entries before this one' }),
  state: z.enum(CONVERSATION_STATES).meta({ description: 'What the conversation is' }),
  successor: ConversationId.optional().meta({ description: 'The conversation that replaced this one after a reset' }),
  dueAt: Time.optional().meta({ description: 'Time of its next timer' }),
  createdAt: Time.meta({ description: 'When it was created' }),
  lastAt: Time.meta({ description: 'Time of its newest entry' }),
  troubles: z.array(z.enum(TROUBLE_SIGNS)).meta({ description: 'Signs of trouble within the last 10 minutes' }),
};

export const AdminConversationList = z
  .object({
    conversations: z.array(z.object(facts)).meta({ description: 'In order of id' }),
    next: Next.meta({
      description:
        'Value of `cursor` for the next page. Absent on the last page. A page may be empty and have one: it looks at 2000 conversations at most',
    }),
  })
  .meta({ id: 'AdminConversationList', description: 'A page of the conversations of the service' });

/** The run of a conversation, as far as one call of Temporal says. */
export const WorkflowRun = z
  .object({
    id: z.string().meta({ description: 'Id of the workflow' }),
    url: z
      .url()
      .optional()
      .meta({ type: 'string', format: 'uri', description: 'Page of the run in the Temporal Web UI' }),
    running: z.boolean().optional().meta({ description: 'Absent while Temporal does not answer' }),
  })
  .meta({ id: 'WorkflowRun', description: 'The workflow of a conversation' });

const RunDetails = z
  .object({
    runId: z.string().meta({ description: 'Id of the run' }),
    status: z.string().meta({ description: 'As Temporal names it: RUNNING, COMPLETED, FAILED and so on' }),
    startedAt: Time.meta({ description: 'When the run began' }),
    historyLength: Count.meta({ description: 'Events of its history' }),
    historyBytes: Count.optional().meta({ description: 'Size of its history' }),
    taskAttempt: Count.optional().meta({
      description: 'The workflow task that is tried now. Above 1: its tries failed or timed out. Absent = none waits',
    }),
    lastFailure: z
      .object({
        at: Time.meta({ description: 'When it failed' }),
        event: z.string().meta({ description: 'Type of the event' }),
        message: z.string().meta({ description: 'What Temporal says of it' }),
      })
      .optional()
      .meta({ description: 'The newest failure in the last 20 events' }),
    state: z
      .object({
        health: z
          .enum(['healthy', 'degraded'])
          .meta({ description: '`degraded`: its last batch could not be decided, and is tried again' }),
        mailbox: Count.meta({ description: 'Operations that wait in the workflow' }),
        increments: Count.meta({ description: 'Increments that wait in the workflow' }),
        decided: Count.meta({ description: 'Operations that the run has decided' }),
        closing: z.boolean().meta({ description: 'Whether the run ends as soon as nothing waits' }),
        epoch: Epoch.optional(),
        lastSeq: Seq.optional(),
        asOf: Time.optional().meta({ description: 'When epoch and lastSeq were true' }),
      })
      .optional()
      .meta({ description: 'What the run says of itself. Absent: no worker answered within a second' }),
  })
  .meta({ id: 'WorkflowRunDetails', description: 'The current run' });

const Lock = z.object({
  pid: z.number().int().meta({ description: 'Process id in the database server' }),
  application: z.string().optional().meta({ description: 'What the session calls itself' }),
  role: z.string().optional().meta({ description: 'Database user' }),
  state: z.string().optional().meta({ description: 'Of its session: active, idle in transaction and so on' }),
  transactionMs: Milliseconds.optional().meta({ description: 'Age of its transaction, milliseconds' }),
  holds: z.boolean().meta({ description: 'True: it holds the row. False: it waits' }),
});

export const AdminConversation = z
  .object({
    ...facts,
    admins: Count.meta({ description: 'Counted up to 1000, like all counts of rows here' }),
    staged: Count.meta({ description: 'Operations whose bytes wait for a decision' }),
    oldestStagedMs: Milliseconds.optional().meta({ description: 'Age of the oldest of them, milliseconds' }),
    increments: Count.meta({ description: 'Increments that were answered and are not counted yet' }),
    locks: z
      .array(Lock)
      .meta({ description: 'Sessions of the database that hold the row of the conversation or wait for it' }),
    workflow: WorkflowRun,
    run: RunDetails.optional().meta({ description: 'Absent: there is none, or Temporal does not answer' }),
    process: z
      .object({
        path: z.enum(['workflow', 'direct', 'auto']).meta({ description: 'Which way its operations take' }),
        mailbox: Count.meta({ description: 'Operations that wait in its queue' }),
        inFlight: Count.meta({ description: 'Operations that are being decided' }),
        oldestMs: Milliseconds.meta({ description: 'Age of the oldest operation that waits or is in flight' }),
        streams: Count.meta({ description: 'Open streams that follow the conversation' }),
        failures: z
          .array(
            z.object({
              at: Time.meta({ description: 'When the operation failed' }),
              kind: z.string().meta({ description: 'Kind of the operation' }),
              code: z.string().meta({ description: 'Code of the problem' }),
              waitedMs: Milliseconds.meta({ description: 'How long it had waited, milliseconds' }),
            }),
          )
          .meta({ description: 'The last operations that were not decided' }),
      })
      .meta({ description: 'What the process that answers knows; the others know their own part' }),
    signs: z
      .array(z.object({ ...troubleFacts, details: TroubleDetails }))
      .meta({ description: 'Signs of trouble, also older ones' }),
  })
  .meta({ id: 'AdminConversation', description: 'All that the service knows of a conversation' });

export const OperatorReason = z
  .strictObject({ reason: Reason.optional().meta({ description: 'Shown in the run and in the audit trail' }) })
  .meta({ id: 'OperatorReason', description: 'Why an operator acts' });

export const OperatorReasonQuery = z.strictObject({
  reason: Reason.optional().meta({ description: 'Shown in the audit trail' }),
});

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
    runId: z.string().meta({ description: 'Id of the run, for the next pages' }),
    events: z.array(z.record(z.string(), z.unknown())).meta({ description: 'Events in the JSON form of Temporal' }),
    next: Next,
  })
  .meta({ id: 'HistoryPage', description: 'A page of the history of the run' });

export const ExportBegun = z
  .object({
    export: z.number().int().meta({ description: 'Number of the export: that of its entry in the audit trail' }),
    conversation: z.object(facts).meta({ description: 'The conversation as it is now' }),
    lastSeq: Seq.meta({ description: 'The last entry of the export' }),
  })
  .meta({ id: 'ExportBegun', description: 'An export that can be read page by page' });

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
    .meta({ type: 'integer', minimum: 1, description: 'Number of the export' }),
});

export const ExportEntriesQuery = z.strictObject({
  after: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().meta({ description: 'Entries after this `seq`' }),
  limit: Limit,
});

export const ExportEntries = z
  .object({
    entries: z
      .array(
        z.object({
          seq: Seq,
          kind: Kind,
          id: OperationId,
          epoch: Epoch,
          sender: UserId.optional().meta({ description: 'User id of its sender' }),
          sha256: Sha256,
          ciphertext: Base64.optional().meta({ description: 'Absent: retention took the bytes' }),
          at: Time.meta({ description: 'When it was accepted' }),
        }),
      )
      .meta({ description: 'In order of `seq`' }),
    next: Seq.optional().meta({ description: 'Value of `after` for the next page. Absent on the last page' }),
  })
  .meta({ id: 'ExportEntries', description: 'A page of the log' });

export const ExportMembersQuery = z.strictObject({ cursor: cursorOf(parseUserId), limit: Limit });

export const ExportMembers = z
  .object({
    members: z
      .array(
        z.object({
          user: UserId,
          role: MemberRole,
          joinedSeq: Seq.meta({ description: 'The entry with which it joined last; 0 = with the creation' }),
          joinedEpoch: Epoch.meta({ description: 'The epoch that began with it' }),
          leftSeq: Seq.optional().meta({ description: 'Last entry that a former member may read' }),
          periods: ReadablePeriods.meta({
            description: 'Entries that it may read: one range for each time that it was a member',
          }),
        }),
      )
      .meta({ description: 'Members and former members, in order of user id' }),
    next: Next,
  })
  .meta({ id: 'ExportMembers', description: 'A page of the members' });
