import { randomUUID } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import {
  type Client,
  WithStartWorkflowOperation,
  type WorkflowHandle,
  type WorkflowOptions,
  isGrpcServiceError,
} from '@temporalio/client';
import type { Duration } from '@temporalio/common';
import { DefaultLogger, type NativeConnection, Runtime, Worker, makeTelemetryFilterString } from '@temporalio/worker';
import type pg from 'pg';
import { pino } from 'pino';
import { createConversationActivities } from '../../activities/conversation.ts';
import { createConsistencyActivities } from '../../activities/consistency.ts';
import { createOffBoardingActivities } from '../../activities/off-boarding.ts';
import { type PushActivityDeps, createPushActivities } from '../../activities/push.ts';
import { createSweepActivities } from '../../activities/sweep.ts';
import { type ConversationWorkflowsDeps, makeConversationWorkflows } from '../../dispatch/conversation-workflows.ts';
import { makeDirectExecutor } from '../../dispatch/direct-executor.ts';
import { type Dispatcher, makeDispatcher } from '../../dispatch/dispatcher.ts';
import { makeSubmitIncrement } from '../../dispatch/increments.ts';
import { makeStager } from '../../dispatch/stager.ts';
import { makeWorkflowExecutor } from '../../dispatch/workflow-executor.ts';
import type { Outcome } from '../../domain/outcome.ts';
import { unpackOutcomes } from '../../domain/packed-outcome.ts';
import { completeChains } from '../../store/decision/complete-chains.ts';
import type { StagedCommand } from '../../domain/staged-command.ts';
import { type Metrics, makeMetrics } from '../../process/metrics.ts';
import { makeNotifier } from '../../store/log/notifications.ts';
import { makeConversationSinks } from '../../worker/conversation-sinks.ts';
import { FAILING_ERRORS, SWEEP_AGES, workflowBundle } from '../../worker/create-worker.ts';
import {
  type ConversationSettings,
  type ConversationState,
  DEFAULT_SETTINGS,
  type UpdateInput,
  type UpdateResult,
  conversationWorkflowId,
  refresh,
  type sendMessages,
  state,
} from '../../workflows/conversation/messages.ts';
import { type ConversationStart, conversationStart } from '../../workflows/conversation/start.ts';
import type { conversation as conversationWorkflow } from '../../workflows/conversation/workflow.ts';
import { CONVERSATION_WORKFLOW } from '../../workflows/names.ts';
import { resetRun } from './reset-run.ts';
import { type Trouble, troubledPool } from './trouble.ts';

export type ConversationHandle = WorkflowHandle<typeof conversationWorkflow>;

/** A worker with the built bundle and the real activities in this process, and the API's queues in front of it. */
export interface Conversations {
  readonly client: Client;
  readonly taskQueue: string;
  readonly settings: ConversationSettings;
  readonly dispatcher: Dispatcher;
  readonly metrics: Metrics;
  /** Between the worker's activities and Postgres. */
  readonly trouble: Trouble;
  readonly increment: (increment: {
    readonly conversation: string;
    readonly user: string;
    readonly by: number;
  }) => Promise<Outcome<'increment'>>;
  /** Starts a run as the sweep does: no operation. */
  readonly wake: (conversation: string) => Promise<ConversationHandle>;
  /** One update by hand, without queue and staging. */
  readonly update: (
    definition: UpdateOf,
    conversation: string,
    operations: readonly StagedCommand[],
    updateId?: string,
  ) => Promise<Outcome[]>;
  /** Whether the server holds this update, delivered or not. */
  readonly isAdmitted: (conversation: string, updateId: string) => Promise<boolean>;
  readonly handle: (conversation: string) => ConversationHandle;
  /** Resets the run to its nth completed task: a new run replays it up to there, and gets its later messages again. */
  readonly reset: (conversation: string, task: number) => Promise<void>;
  readonly state: (conversation: string) => Promise<ConversationState>;
  readonly stop: () => Promise<void>;
}

type UpdateOf = typeof sendMessages;

/** Core's log is noise here: a test that breaks a task on purpose asserts what follows. */
export function quietRuntime(): void {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' }) },
    },
  });
}

/** Three targets fail, then two, and so on: once each time that somebody tries them. */
function failingTargets(): PushActivityDeps['retry'] {
  let count = 4;
  return () => Promise.resolve({ count: Math.max(0, --count), nextInMs: 0 });
}

export async function startConversations(deps: {
  readonly client: Client;
  readonly connection: NativeConnection;
  readonly pool: pg.Pool;
  readonly settings?: Partial<ConversationSettings>;
  /** The time-skipping server knows no heartbeats of tasks: there a task must outlive its longest activity. */
  readonly workflowTaskTimeout?: Duration;
  /** Workflow code. @default the built bundle */
  readonly bundle?: string;
  /** @default one of its own */
  readonly taskQueue?: string;
  /** What starts show. @default nothing */
  readonly shows?: Pick<ConversationWorkflowsDeps, 'attributes' | 'factsOf' | 'modeOf'>;
}): Promise<Conversations> {
  const { client } = deps;
  const settings = { ...DEFAULT_SETTINGS, ...deps.settings };
  const { taskQueue = `conversations-${randomUUID()}` } = deps;
  const log = pino({ level: 'silent' });
  const metrics = makeMetrics({ collectDefaults: false });
  const { pool, trouble } = troubledPool(deps.pool);
  const start = (conversation: string): Omit<ConversationStart, 'workflowTaskTimeout'> & WorkflowOptions => ({
    ...conversationStart(conversation, settings, taskQueue),
    ...(deps.workflowTaskTimeout === undefined ? {} : { workflowTaskTimeout: deps.workflowTaskTimeout }),
  });
  const notifier = makeNotifier(deps.pool, () => undefined);
  const worker = await Worker.create({
    connection: deps.connection,
    identity: 'worker',
    namespace: client.options.namespace,
    taskQueue,
    workflowBundle: { code: deps.bundle ?? (await workflowBundle(false)) },
    activities: {
      ...createConversationActivities({ pool, notifier, onBatch: () => undefined, onFailure: () => undefined }),
      ...createSweepActivities({
        pool,
        ages: SWEEP_AGES,
        onSwept: metrics.swept,
        wake: async (conversation) => {
          await client.workflow.signalWithStart(CONVERSATION_WORKFLOW, { ...start(conversation), signal: refresh });
        },
        startOffBoarding: () => Promise.resolve(),
        onFailure: () => undefined,
      }),
      ...createOffBoardingActivities({
        pool,
        onChanged: (conversation, { lastSeq }) => notifier.entry(conversation, lastSeq, true),
        onFailure: () => undefined,
      }),
      ...createPushActivities({ retry: failingTargets(), onFailure: () => undefined }),
      ...createConsistencyActivities({
        pool,
        dutyPercent: 100,
        onFinding: () => undefined,
        onFailure: () => undefined,
      }),
    },
    sinks: makeConversationSinks(metrics, 100).sinks,
    enableNonLocalActivities: false,
    workflowFailureErrorTypes: FAILING_ERRORS,
    stickyQueueScheduleToStartTimeout: '1 second',
  });
  const ended = worker.run();

  const workflows = makeConversationWorkflows({ client, taskQueue, settings, ...deps.shows });
  const onRetry = metrics.batchRetry;
  const direct = makeDirectExecutor({ pool: deps.pool, notifier, log, onRetry });
  const pathOf = (): 'workflow' => 'workflow';
  const dispatcher = makeDispatcher({
    pathOf,
    executors: { workflow: makeWorkflowExecutor({ workflows, log, onRetry }), direct },
    stager: makeStager(deps.pool),
    metrics,
    log,
    mailboxLimit: 10_000,
  });
  const submitIncrement = makeSubmitIncrement({ pool: deps.pool, workflows, pathOf, direct, onRetry, log });
  const handle = (conversation: string): ConversationHandle =>
    client.workflow.getHandle<typeof conversationWorkflow>(conversationWorkflowId(conversation));
  return {
    client,
    taskQueue,
    settings,
    dispatcher,
    metrics,
    trouble,
    handle,
    increment: ({ conversation, user, by }) => {
      const id = randomUUID();
      const command = { kind: 'increment', id, actor: user, by } as const;
      return submitIncrement({ conversation, command, deadline: Date.now() + 10_000, correlationId: id });
    },
    wake: async (conversation) => {
      await client.workflow.start(CONVERSATION_WORKFLOW, start(conversation));
      return handle(conversation);
    },
    update: async (definition, conversation, operations, updateId = randomUUID()) => {
      const startWorkflowOperation = new WithStartWorkflowOperation(CONVERSATION_WORKFLOW, {
        ...start(conversation),
        workflowIdConflictPolicy: 'USE_EXISTING',
      });
      const input: UpdateInput = { operations, requests: [] };
      const result: UpdateResult = await client.workflow.executeUpdateWithStart(definition, {
        args: [input],
        updateId,
        startWorkflowOperation,
      });
      return completeChains(operations, unpackOutcomes(result.outcomes));
    },
    isAdmitted: async (conversation, updateId) => {
      const workflowExecution = { workflowId: conversationWorkflowId(conversation) };
      try {
        await client.workflowService.pollWorkflowExecutionUpdate({
          namespace: client.options.namespace,
          updateRef: { workflowExecution, updateId },
        });
        return true;
      } catch (error) {
        if (isGrpcServiceError(error) && error.code === status.NOT_FOUND) return false;
        throw error;
      }
    },
    reset: (conversation, task) =>
      resetRun(client, conversationWorkflowId(conversation), (completed) => completed[task - 1]),
    state: (conversation) => handle(conversation).query(state),
    stop: async () => {
      worker.shutdown();
      await ended;
    },
  };
}
