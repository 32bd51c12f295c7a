import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import type { Logger } from 'pino';
import type pg from 'pg';
import { createConversationActivities } from '../activities/conversation.ts';
import { createConsistencyActivities } from '../activities/consistency.ts';
import { createOffBoardingActivities } from '../activities/off-boarding.ts';
import { type PushActivityDeps, createPushActivities } from '../activities/push.ts';
import { createSweepActivities } from '../activities/sweep.ts';
import { batchFacts } from '../dispatch/batch-facts.ts';
import type { ConversationWorkflows } from '../dispatch/conversation-workflows.ts';
import { waitedFor } from '../dispatch/waited-for.ts';
import type { Metrics } from '../process/metrics.ts';
import { type Tracing, traceNow } from '../process/tracing.ts';
import { packageRoot } from '../process/package-root.ts';
import type { Notifier } from '../store/log/notifications.ts';
import type { Failing } from '../store/push/deliveries.ts';
import type { SweepAges } from '../store/retention/sweep.ts';
import { type Residents, makeConversationSinks } from './conversation-sinks.ts';
import { type WithThreads, withOurThreads } from './promise-hook.ts';

const SQL = { 'db.system.name': 'postgresql', 'db.operation.name': 'decide' };

const DAY_MS = 24 * 3600_000;
/**
 * The sweep deletes rows older than this. Staged rows must live much longer than the deadline (`notAfter`) of an
 * operation.
 */
export const SWEEP_AGES: SweepAges = { stagedMs: 10 * 60_000, operationsMs: 30 * DAY_MS, idempotencyMs: DAY_MS };

const DEFAULT_AUDIT_PERCENT = 20;

/**
 * A run that this worker's code cannot replay fails, and the next operation starts a run from Postgres. Without this its task
 * would be tried for ever, and the conversation would stand still (docs/adr/0020-runs-may-fail.md). Experimental in SDK 1.24:
 * `test/integration/workflows/bad-deploy.test.ts` holds it.
 */
export const FAILING_ERRORS = { '*': ['NondeterminismError'] } satisfies WorkerOptions['workflowFailureErrorTypes'];

export interface WorkerDeps {
  readonly connection: NativeConnection;
  readonly workflows: Pick<ConversationWorkflows, 'refresh'>;
  /** Starts the workflow of an off-boarding, unless it is running. */
  readonly startOffBoarding: (id: number) => Promise<void>;
  readonly namespace: string;
  readonly taskQueue: string;
  readonly pool: pg.Pool;
  readonly notifier: Notifier;
  readonly metrics: Metrics;
  /** @default off */
  readonly tracing?: Tracing | undefined;
  readonly log: Logger;
  /** Maximum number of conversations in memory. Each needs at most 0.5 MB. */
  readonly maxCachedWorkflows: number;
  /**
   * Workflow tasks that run at the same time. The other tasks wait in the Temporal server, without a time limit. Too
   * many tasks on few CPU cores would exceed their time limit.
   */
  readonly taskSlots: number;
  /** Worker Versioning; absent = every worker takes any work. */
  readonly deployment?: { readonly name: string; readonly build: string } | undefined;
  /** The workflow code, see `workflowBundle`. */
  readonly bundle: string;
  /** The SDK's promise hook. Stack traces need it. */
  readonly promiseHook: boolean;
  /** Part of the time in which the consistency audit reads. @default 20 */
  readonly auditPercent?: number;
  /** Sends again what is due to failing push targets. @default nothing */
  readonly retryPushes?: PushActivityDeps['retry'];
  /** @default SWEEP_AGES */
  readonly sweepAges?: SweepAges;
}

export interface ConversationWorker {
  readonly worker: Worker;
  readonly residents: Residents;
  /** Whether the SDK's promise hook runs. */
  readonly hasPromiseHook: boolean;
  /** The threads that run workflow code. */
  readonly threads: WithThreads<Worker>['threads'];
}

/** Creates a worker that runs conversations. @throws Error if Temporal does not answer */
export async function createWorker(deps: WorkerDeps): Promise<ConversationWorker> {
  const { pool, notifier, metrics, log, tracing } = deps;
  const { sinks, residents } = makeConversationSinks(metrics, deps.maxCachedWorkflows);
  const options: WorkerOptions = {
    connection: deps.connection,
    namespace: deps.namespace,
    taskQueue: deps.taskQueue,
    workflowBundle: { code: deps.bundle },
    activities: {
      ...createConversationActivities({
        pool,
        notifier,
        onBatch: ({ conversation, correlationIds, operations, seconds, decidingSeconds }) => {
          metrics.batch('activity', operations, seconds);
          log.info({ conversation, operations, ms: Math.round(seconds * 1000), correlationIds }, 'batch applied');
          if (tracing === undefined) return;
          const until = traceNow();
          const attributes = { conversation, operations };
          const from = until - seconds * 1000;
          tracing.step({ step: 'activity', correlationIds, from, until, attributes });
          const decidingFrom = until - decidingSeconds * 1000;
          tracing.step({ step: 'sql of activity', correlationIds, from: decidingFrom, until, attributes: SQL });
        },
        onFailure: (error, activity) => {
          const facts = batchFacts(activity, 'workflow', waitedFor(error) ?? 'nothing');
          log.error({ err: error, ...facts }, 'activity failed');
        },
      }),
      ...createSweepActivities({
        pool,
        ages: deps.sweepAges ?? SWEEP_AGES,
        onSwept: metrics.swept,
        wake: deps.workflows.refresh,
        startOffBoarding: deps.startOffBoarding,
        onFailure: (conversation, error) => log.warn({ err: error, conversation }, 'conversation was not swept'),
      }),
      ...createOffBoardingActivities({
        pool,
        onChanged: (conversation, { lastSeq }) => notifier.entry(conversation, lastSeq, true),
        onFailure: (error, conversation) => log.warn({ err: error, conversation }, 'off-boarding is tried again'),
      }),
      ...createPushActivities({
        retry: deps.retryPushes ?? ((): Promise<Failing> => Promise.resolve({ count: 0, nextInMs: 0 })),
        onFailure: (error) => log.warn({ err: error }, 'wake-ups were not sent again'),
      }),
      ...createConsistencyActivities({
        pool,
        dutyPercent: deps.auditPercent ?? DEFAULT_AUDIT_PERCENT,
        // Details may name users: they stand in the table, not in the log.
        onFinding: ({ conversation, rule }) => log.error({ conversation, rule }, 'consistency finding'),
        onFailure: (error) => log.error({ err: error }, 'consistency audit failed, and goes on in a minute'),
      }),
    },
    sinks,
    // All activities are local: the Temporal server writes only once for update, decision and answer together.
    enableNonLocalActivities: false,
    workflowFailureErrorTypes: FAILING_ERRORS,
    ...(deps.deployment === undefined ? {} : versioning(deps.deployment)),
    maxCachedWorkflows: deps.maxCachedWorkflows,
    maxConcurrentWorkflowTaskExecutions: deps.taskSlots,
    maxConcurrentLocalActivityExecutions: 100,
    // After a worker is killed, another worker takes over its cached conversations after this time.
    stickyQueueScheduleToStartTimeout: '1 second',
    // Longer than the longest activity, so that a deployment interrupts none.
    shutdownGraceTime: '10 seconds',
    shutdownForceTime: '20 seconds',
  };
  const { promiseHook } = deps;
  const { worker, isOff, threads } = await withOurThreads(() => Worker.create(options), { promiseHook, log });
  return { worker, residents, hasPromiseHook: !isOff, threads };
}

/** A running conversation moves to the current build with its next task: changes of its code are behind `patched()`. */
function versioning({
  name,
  build,
}: NonNullable<WorkerDeps['deployment']>): Pick<WorkerOptions, 'workerDeploymentOptions'> {
  return {
    workerDeploymentOptions: {
      version: { deploymentName: name, buildId: build },
      useWorkerVersioning: true,
      defaultVersioningBehavior: 'AUTO_UPGRADE',
    },
  };
}

/**
 * Reads the workflow code that `npm run build` built.
 * @param stackTraces the code with stack traces, for debugging. They need much CPU time
 * @throws Error if it was not built
 */
export function workflowBundle(stackTraces: boolean): Promise<string> {
  return readBundle(stackTraces ? 'conversation-traced' : 'conversation');
}

/** A bundle by its name, see `build-bundle.ts`. @throws Error if it was not built */
export async function readBundle(name: string): Promise<string> {
  try {
    return await readFile(path.join(packageRoot(), 'dist', 'bundle', `${name}.js`), 'utf8');
  } catch (error) {
    throw new Error('The workflow bundle is missing: run `npm run build` first.', { cause: error });
  }
}
