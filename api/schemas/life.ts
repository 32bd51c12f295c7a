import { z } from 'zod';
import { COMMAND_KINDS } from '../../domain/command.ts';
import type { LifeEvent as Told } from '../../domain/life-event.ts';
import { ENTRY_KINDS } from '../../domain/log-entry.ts';
import { PROBLEMS, type ProblemCode } from '../../domain/errors.ts';
import { CONVERSATION_STATES } from '../../store/conversation/overview.ts';
import { Chain, Epoch, Incarnation, MemberCount, OperationId, Protocol, Seq, Sha256, UserId } from './common.ts';
import { ACCOUNT_EVENTS } from './events.ts';

const Moment = (description: string): z.ZodNumber =>
  z
    .number()
    .int()
    .meta({ description: `${description}; milliseconds since 1970` });
const Count = (description: string): z.ZodNumber => z.number().int().min(0).meta({ description });
const Text = (description: string): z.ZodString => z.string().meta({ description });
const type = <T extends Told['type']>(name: T): z.ZodLiteral<T> =>
  z.literal(name).meta({ description: 'What the event tells. It is the name of the event too' });

const PATHS = ['workflow', 'direct'] as const;
const PROBLEM_CODES = Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]];
const WORKFLOW_ID = 'conversation/q83vEjRWeJASNFZ4kBI0Vg';
const RUN_ID = '0197f0a8-4a7c-7d3e-9d52-0c1f4b6a7e10';
const AT = 1_769_860_800_000;
const SHA256 = '3338be694f50c5f338814986cdf0686453a888b84f424d792af4b9202398f392';
const CHAIN = 'SnIKT3VOB9J7jEGMf6dzckHqtFi0E+ZiaGeZ2TkDB8w=';

const LifeHead = z
  .object({
    type: type('head'),
    at: Moment('When it was so'),
    state: z.enum(CONVERSATION_STATES).meta({ description: 'What the conversation is' }),
    protocol: Protocol,
    epoch: Epoch,
    lastSeq: Seq.meta({ description: 'Position of the last entry of the log; 0 = there is none' }),
    oldestSeq: Seq.meta({ description: 'Retention deleted the entries before this one' }),
    chain: Chain,
    members: MemberCount,
    mailbox: z
      .object({
        waiting: Count('Operations that wait in the queue of the process that answers'),
        inFlight: Count('Operations that it has handed over, and that are not decided'),
        staged: Count('Operations of all processes whose bytes wait for a decision; counted up to 1000'),
        increments: Count('Increments that were answered and are not counted yet; counted up to 1000'),
      })
      .meta({ description: 'What waits' }),
    path: z
      .object({
        mode: z.enum(['auto', ...PATHS]).meta({ description: 'The setting for this conversation' }),
        now: z.enum(PATHS).meta({
          description: 'Which way the next operation takes in the process that answers, if nothing waits before it',
        }),
        reason: z.string().optional().meta({
          description:
            'Why `auto` takes the direct path for all operations now: `breaker` (Temporal does not answer) or `wedged` (this workflow does not answer)',
        }),
      })
      .meta({ description: 'Which way operations take' }),
    retention: z
      .object({
        days: z.number().meta({ description: 'Bodies of messages are kept for so many days' }),
        commitDays: z.number().optional().meta({ description: 'Commits that a device still needs: so many days' }),
      })
      .optional()
      .meta({ description: 'Absent: bodies are kept for ever' }),
    dueAt: Moment('Next timer of the conversation').optional(),
    incarnation: Incarnation.optional(),
  })
  .meta({
    id: 'LifeHead',
    description: 'The conversation as it is now: the first event, and again when something of it changes',
    example: {
      type: 'head',
      at: AT,
      state: 'active',
      protocol: 'mls',
      epoch: 3,
      lastSeq: 7,
      oldestSeq: 1,
      chain: CHAIN,
      members: 2,
      mailbox: { waiting: 0, inFlight: 1, staged: 1, increments: 0 },
      path: { mode: 'auto', now: 'workflow' },
    },
  });

const LifeEntry = z
  .object({
    type: type('entry'),
    at: Moment('When it was accepted'),
    seq: Seq,
    kind: z.enum(ENTRY_KINDS).meta({ description: 'What the entry is' }),
    epoch: Epoch,
    bytes: Count('Size of the body. Absent: the body is gone').optional(),
    sha256: Sha256,
    chain: Chain,
    deleted: z
      .enum(['deleted', 'expired'])
      .optional()
      .meta({ description: '`deleted`: the sender or an admin deleted the body. `expired`: retention did' }),
    sender: UserId.optional().meta({
      description: 'Only where the log has it: not of application messages of `mls` conversations',
    }),
  })
  .meta({
    id: 'LifeEntry',
    description:
      'An entry of the log, without its bytes: the newest 50 at once, then each new one. Again when its body is deleted. When very many come at once, some are left out: `seq` has a gap then',
    example: { type: 'entry', at: AT, seq: 7, kind: 'application', epoch: 3, bytes: 312, sha256: SHA256, chain: CHAIN },
  });

const LifeOperation = z
  .object({
    type: type('operation'),
    at: Moment('When it was answered'),
    operation: OperationId,
    kind: z.enum(COMMAND_KINDS).meta({ description: 'What was asked' }),
    path: z
      .enum(PATHS)
      .optional()
      .meta({ description: 'Which way it took. Absent: it was answered before it was handed to one' }),
    reason: z.string().optional().meta({
      description:
        'Why this way. `setting`: an operator chose it. `auto`: Temporal answers in good time. `budget`, `wait`, `breaker`, `wedged`, `time-out`, `failed`: why `auto` left the workflow (docs/explanation/execution-paths.md). `not-a-member`: it is refused without the workflow. `again`: an earlier try may have decided it',
    }),
    outcome: z.string().meta({
      description: '`accepted`, `duplicate` (it was decided before), or the code of the problem',
    }),
    seq: Seq.optional().meta({ description: 'The entry that it became' }),
    epoch: Epoch.optional().meta({ description: 'The epoch that it led to, or that its entry has' }),
    ms: Count('From its arrival to its answer, milliseconds'),
  })
  .meta({
    id: 'LifeOperation',
    description:
      'An operation that a request brought to the process that answers. Those of other processes show in `entry` and `history` only. When very many come at once, the newest are told',
    example: {
      type: 'operation',
      at: AT,
      operation: 'hello-1',
      kind: 'message',
      path: 'workflow',
      reason: 'auto',
      outcome: 'accepted',
      seq: 7,
      epoch: 3,
      ms: 9,
    },
  });

const LifeWorkflow = z
  .object({
    type: type('workflow'),
    at: Moment('When it was so'),
    workflowId: Text('Id of the workflow'),
    status: Text(
      'As Temporal names it: `RUNNING`, `COMPLETED`, `TERMINATED`, `CONTINUED_AS_NEW` and so on. `NONE`: there is no run, or Temporal has forgotten it',
    ),
    runId: Text('Id of the newest run').optional(),
    historyLength: Count('Events of its history').optional(),
    historyBytes: Count('Size of its history, bytes').optional(),
    startedAt: Moment('When the run began').optional(),
    closedAt: Moment('When the run ended').optional(),
    continuedFrom: Text('The run that continued as this one').optional(),
    taskAttempt: Count('The workflow task that is tried now. Above 1: its tries failed or timed out').optional(),
    webUi: z
      .url()
      .optional()
      .meta({ type: 'string', format: 'uri', description: 'Page of the run in the Temporal Web UI' }),
  })
  .meta({
    id: 'LifeWorkflow',
    description: 'The newest run of the workflow: at once, and again when something of it changes',
    example: {
      type: 'workflow',
      at: AT,
      workflowId: WORKFLOW_ID,
      status: 'RUNNING',
      runId: RUN_ID,
      historyLength: 34,
      historyBytes: 9120,
      startedAt: AT,
    },
  });

const LifeHistory = z
  .object({
    type: type('history'),
    at: Moment('When Temporal wrote it'),
    runId: Text('Its run'),
    eventId: Count('Its number in the history of the run'),
    kind: Text(
      'What the event is: `started`, `updateAccepted`, `updateCompleted`, `localActivity`, `patch`, `signal`, `timerStarted`, `timerFired`, `timerCanceled`, `workflowTaskScheduled`, `workflowTaskStarted`, `workflowTaskCompleted`, `workflowTaskFailed`, `workflowTaskTimedOut`, `continuedAsNew`, `completed`, `failed`, `terminated`, `canceled` and so on; what Temporal adds later has the name that it has there',
    ),
    name: Text('Name of the update, signal, activity or patch').optional(),
    facts: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
      .meta({ description: 'A few plain facts; which ones depends on `kind`. Never what a payload carries' }),
  })
  .meta({
    id: 'LifeHistory',
    description:
      'An event of the history of the run: the newest 50 at once, then each new one. When very many come at once, some are left out: `eventId` has a gap then',
    example: {
      type: 'history',
      at: AT,
      runId: RUN_ID,
      eventId: 31,
      kind: 'updateAccepted',
      name: 'sendMessages',
      facts: { updateId: '5f0c9a52-5d6b-4b0f-9a57-0f6f4f2f6f11', operations: 3 },
    },
  });

const LifeSupervisor = z
  .object({
    type: type('supervisor'),
    at: Moment('When it was'),
    action: Text(
      'What the supervisor did: `restart`, `report`, `give-up` and so on. `sees` = it did nothing yet: a process saw a sign of trouble',
    ),
    reason: Text('Why: the sign of trouble'),
    outcome: Text('What became of it, as far as that is known').optional(),
  })
  .meta({
    id: 'LifeSupervisor',
    description:
      'What the supervisor did with this conversation, and the signs of trouble that it looks at: the newest 20 at once, then each new one',
    example: { type: 'supervisor', at: AT, action: 'restart', reason: 'wedged' },
  });

const part = z
  .enum(['temporal', 'postgres'])
  .meta({ description: '`temporal`: source of `workflow` and `history`. `postgres`: source of the others' });
const LifeTrouble = z
  .object({
    type: type('trouble'),
    at: Moment('When it was noticed'),
    part,
    code: z.enum(PROBLEM_CODES).meta({ description: 'Code of the problem' }),
  })
  .meta({
    id: 'LifeTrouble',
    description: 'A part does not answer. The stream goes on with what the others tell',
    example: { type: 'trouble', at: AT, part: 'temporal', code: 'unavailable' },
  });
const LifeRecovered = z.object({ type: type('recovered'), at: Moment('When it was noticed'), part }).meta({
  id: 'LifeRecovered',
  description: 'The part answers again. What happened meanwhile follows',
  example: { type: 'recovered', at: AT, part: 'temporal' },
});

const LifeLogRestarted = z
  .object({
    type: type('log-restarted'),
    at: Moment('When it was noticed'),
    lastSeq: Seq.meta({ description: 'The last entry of the log that there is now' }),
    oldestSeq: Seq.meta({ description: 'The oldest entry that exists' }),
  })
  .meta({
    id: 'LifeLogRestarted',
    description:
      'The database was restored, and the log does not go on from the entries that were told: its newest entries follow. Other than on streams of the log, this does not end the stream',
    example: { type: 'log-restarted', at: AT, lastSeq: 5, oldestSeq: 1 },
  });

const events = [
  LifeHead,
  LifeEntry,
  LifeOperation,
  LifeWorkflow,
  LifeHistory,
  LifeSupervisor,
  LifeTrouble,
  LifeRecovered,
  LifeLogRestarted,
] as const;

/** A fact about the life of a conversation. Never ciphertext, payloads or secrets. */
export const LifeEvent = z.discriminatedUnion('type', events).meta({
  id: 'LifeEvent',
  description: 'A fact about the life of a conversation. Never ciphertext, payloads or secrets',
});

/** One event of the stream of facts. */
export const LifeStreamEvent = z
  .discriminatedUnion('event', [
    z
      .object({
        event: z.enum(events.map(({ shape }) => shape.type.value)).meta({ description: 'The `type` of the fact' }),
        data: LifeEvent,
      })
      .meta({ id: 'LifeFactEvent', description: 'A fact. Without an id: a new stream tells the newest ones again' }),
    ACCOUNT_EVENTS['slow-consumer'],
    ACCOUNT_EVENTS.reconnect,
  ])
  .meta({
    id: 'LifeStreamEvent',
    description: 'One event: lines `event:` and `data:` (JSON), then an empty line',
  });
