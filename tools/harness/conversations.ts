import { randomUUID } from 'node:crypto';
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
import { createSweepActivities } from '../../activities/sweep.ts';
import { type Increment, makeIncrementer } from '../../dispatch/increments.ts';
import { makeDirectPath } from '../../dispatch/direct-executor.ts';
import { makeStager } from '../../dispatch/stager.ts';
import { type Lanes, makeLanes } from '../../dispatch/dispatcher.ts';
import { makeWorkflowPath } from '../../dispatch/workflow-executor.ts';
import type { Outcome } from '../../domain/outcome.ts';
import type { OperationJson } from '../../store/decision/inline-operation.ts';
import { unpackOutcomes } from '../../domain/outcome.ts';
import { type Metrics, makeMetrics } from '../../process/metrics.ts';
import { makeNotifier } from '../../store/log/notifications.ts';
import { makeConversationSinks } from '../../worker/conversation-sinks.ts';
import { SWEEP_AGES, workflowBundle } from '../../worker/create-worker.ts';
import {
  type ConversationSettings,
  type ConversationState,
  DEFAULT_SETTINGS,
  type UpdateInput,
  type UpdateResult,
  conversationWorkflowId,
  type sendMessages,
  state,
} from '../../workflows/conversation/messages.ts';
import { type ConversationStart, conversationStart } from '../../workflows/conversation/start.ts';
import type { conversation as conversationWorkflow } from '../../workflows/conversation/workflow.ts';
import { CONVERSATION_WORKFLOW } from '../../workflows/names.ts';
import { type Trouble, troubledPool } from './trouble.ts';

export type ConversationHandle = WorkflowHandle<typeof conversationWorkflow>;

/** A worker with the built bundle and the real activities in this process, and the API's lanes in front of it. */
export interface Conversations {
  readonly client: Client;
  readonly taskQueue: string;
  readonly lanes: Lanes;
  readonly metrics: Metrics;
  /** Between the worker's activities and Postgres. */
  readonly trouble: Trouble;
  readonly increment: (increment: Pick<Increment, 'conversation' | 'user' | 'by'>) => Promise<void>;
  /** Starts a run as the sweep does: no operation. */
  readonly wake: (conversation: string) => Promise<ConversationHandle>;
  /** One update by hand, without lane and staging. */
  readonly update: (
    definition: UpdateOf,
    conversation: string,
    operations: readonly OperationJson[],
    updateId?: string,
  ) => Promise<Outcome[]>;
  /** Whether the server holds this update, delivered or not. */
  readonly isAdmitted: (conversation: string, updateId: string) => Promise<boolean>;
  readonly handle: (conversation: string) => ConversationHandle;
  readonly state: (conversation: string) => Promise<ConversationState>;
  readonly stop: () => Promise<void>;
}

type UpdateOf = typeof sendMessages;

/** gRPC status codes, as in the gRPC specification. */
const GRPC = new Map<number, string>([[5, 'NOT_FOUND']]);

/** Core's log is noise here: a test that breaks a task on purpose asserts what follows. */
export function quietRuntime(): void {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' }) },
    },
  });
}

export async function startConversations(deps: {
  readonly client: Client;
  readonly connection: NativeConnection;
  readonly pool: pg.Pool;
  readonly settings?: Partial<ConversationSettings>;
  /** The time-skipping server knows no heartbeats of tasks: there a task must outlive its longest activity. */
  readonly workflowTaskTimeout?: Duration;
}): Promise<Conversations> {
  const { client } = deps;
  const settings = { ...DEFAULT_SETTINGS, ...deps.settings };
  const taskQueue = `conversations-${randomUUID()}`;
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
    workflowBundle: { code: await workflowBundle(false) },
    activities: {
      ...createConversationActivities({ pool, notifier, onBatch: () => undefined, onFailure: () => undefined }),
      ...createSweepActivities({
        pool,
        ages: SWEEP_AGES,
        onSwept: metrics.swept,
        wake: async (conversation) => {
          await client.workflow.start(CONVERSATION_WORKFLOW, {
            ...start(conversation),
            workflowIdConflictPolicy: 'USE_EXISTING',
          });
        },
      }),
    },
    sinks: makeConversationSinks(metrics, 100).sinks,
    enableNonLocalActivities: false,
    stickyQueueScheduleToStartTimeout: '1 second',
  });
  const ended = worker.run();

  const common = { client, taskQueue, settings, log, onRetry: metrics.laneRetry };
  const direct = makeDirectPath({ pool: deps.pool, notifier, log, onRetry: metrics.laneRetry });
  const pathOf = (): 'workflow' => 'workflow';
  const lanes = makeLanes({
    pathOf,
    paths: { workflow: makeWorkflowPath(common), direct },
    stager: makeStager(deps.pool),
    metrics,
    log,
    mailboxLimit: 10_000,
  });
  const incrementer = makeIncrementer({ ...common, pathOf, direct });
  const handle = (conversation: string): ConversationHandle =>
    client.workflow.getHandle<typeof conversationWorkflow>(conversationWorkflowId(conversation));
  return {
    client,
    taskQueue,
    lanes,
    metrics,
    trouble,
    handle,
    increment: (increment) => {
      const id = randomUUID();
      return incrementer({ ...increment, id, deadline: Date.now() + 10_000, requestId: id });
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
      return unpackOutcomes(result.outcomes);
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
        if (isGrpcServiceError(error) && GRPC.get(error.code) === 'NOT_FOUND') return false;
        throw error;
      }
    },
    state: (conversation) => handle(conversation).query(state),
    stop: async () => {
      worker.shutdown();
      await ended;
    },
  };
}
