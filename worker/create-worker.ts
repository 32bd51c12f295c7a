import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type NativeConnection, Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import type pg from 'pg';
import { createConversationActivities } from '../activities/conversation.ts';
import { createSweepActivities } from '../activities/sweep.ts';
import type { ConversationWorkflows } from '../dispatch/conversation-workflows.ts';
import type { Metrics } from '../process/metrics.ts';
import { packageRoot } from '../process/package-root.ts';
import type { Notifier } from '../store/log/notifications.ts';
import type { SweepAges } from '../store/retention/sweep.ts';
import { type Residents, makeConversationSinks } from './conversation-sinks.ts';

const DAY_MS = 24 * 3600_000;
/** Ages of the sweep; staged rows live far longer than any `notAfter`. */
export const SWEEP_AGES: SweepAges = { stagedMs: 10 * 60_000, operationsMs: 30 * DAY_MS, idempotencyMs: DAY_MS };

export interface WorkerDeps {
  readonly connection: NativeConnection;
  readonly workflows: Pick<ConversationWorkflows, 'start'>;
  readonly namespace: string;
  readonly taskQueue: string;
  readonly pool: pg.Pool;
  readonly notifier: Notifier;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Conversations kept in memory; at most 0.5 MB each. */
  readonly maxCachedWorkflows: number;
  /**
   * Workflow tasks at once. Waiting tasks stay in the server, where no clock runs: more at once on few cores only time out.
   */
  readonly taskSlots: number;
  /** Stack traces of workflow code: dear, for debugging. */
  readonly stackTraces: boolean;
  /** Ages of the sweep. */
  readonly sweepAges?: SweepAges;
}

/** A worker that runs conversations from the bundle that `npm run build` made. */
export async function createWorker(deps: WorkerDeps): Promise<{ worker: Worker; residents: Residents }> {
  const { pool, notifier, metrics, log } = deps;
  const { sinks, residents } = makeConversationSinks(metrics, deps.maxCachedWorkflows);
  metrics.actorMailboxDepth(residents.queued);
  const worker = await Worker.create({
    connection: deps.connection,
    namespace: deps.namespace,
    taskQueue: deps.taskQueue,
    workflowBundle: { code: await workflowBundle(deps.stackTraces) },
    activities: {
      ...createConversationActivities({
        pool,
        notifier,
        onBatch: ({ conversation, correlationIds, operations, seconds }) => {
          metrics.batch('activity', operations, seconds);
          log.info({ conversation, operations, ms: Math.round(seconds * 1000), correlationIds }, 'batch applied');
        },
        onFailure: (error) => log.error({ err: error }, 'activity failed'),
      }),
      ...createSweepActivities({
        pool,
        ages: deps.sweepAges ?? SWEEP_AGES,
        onSwept: metrics.swept,
        wake: deps.workflows.start,
      }),
    },
    sinks,
    // Everything is a local activity: one persistence write for update, decision and answer.
    enableNonLocalActivities: false,
    maxCachedWorkflows: deps.maxCachedWorkflows,
    maxConcurrentWorkflowTaskExecutions: deps.taskSlots,
    maxConcurrentLocalActivityExecutions: 100,
    // A conversation cached on a killed worker is free again after this.
    stickyQueueScheduleToStartTimeout: '1 second',
    // Above the longest activity, so that a deploy ends none in the middle.
    shutdownGraceTime: '10 seconds',
    shutdownForceTime: '20 seconds',
  });
  return { worker, residents };
}

/** The workflow code, as built. @throws Error that says to build */
export async function workflowBundle(stackTraces: boolean): Promise<string> {
  const file = path.join(packageRoot(), 'dist', 'bundle', stackTraces ? 'conversation-traced.js' : 'conversation.js');
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new Error('The workflow bundle is missing: run `npm run build` first.', { cause: error });
  }
}
