import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { type NativeConnection, Worker } from '@temporalio/worker';
import type pg from 'pg';
import type { Logger } from 'pino';
import { createSupervisorActivities } from '../activities/supervisor/activities.ts';
import type { SupervisedRuns } from '../activities/supervisor/runs.ts';
import type { Metrics } from '../process/metrics.ts';
import { type SupervisorInput, supervisorTaskQueue, supervisorWorkflowId } from '../workflows/supervisor/messages.ts';
import { SUPERVISOR_WORKFLOW } from '../workflows/names.ts';
import { FAILING_ERRORS, readBundle } from './create-worker.ts';

/** Attempts of its task after which the supervisor is replaced. A worker that was killed costs it one or two. */
const MOST_ATTEMPTS = 5;

export interface SupervisorWorkerDeps {
  readonly connection: NativeConnection;
  readonly namespace: string;
  /** The task queue of conversations; the supervisor has one of its own beside it. */
  readonly taskQueue: string;
  readonly pool: pg.Pool;
  readonly runs: SupervisedRuns;
  readonly version: string;
  readonly build: string;
  readonly metrics: Pick<Metrics, 'actorRestarts' | 'supervisorAction'>;
  readonly log: Logger;
  /** @default pid and host */
  readonly identity?: string;
}

/**
 * Creates a small second worker in this process: it runs the supervisor, of which there is one for all worker processes. It
 * knows nothing of the workflow code of conversations.
 * @throws Error if Temporal does not answer
 */
export async function createSupervisorWorker(deps: SupervisorWorkerDeps): Promise<Worker> {
  const { pool, runs, taskQueue, version, build, metrics, log } = deps;
  return Worker.create({
    connection: deps.connection,
    ...(deps.identity === undefined ? {} : { identity: deps.identity }),
    namespace: deps.namespace,
    taskQueue: supervisorTaskQueue(taskQueue),
    workflowBundle: { code: await readBundle('supervisor') },
    activities: createSupervisorActivities({
      pool,
      runs,
      taskQueue,
      version,
      build,
      onAction: ({ action, conversation, reason, details }) => {
        metrics.supervisorAction(action, reason);
        if (action === 'restart') metrics.actorRestarts('supervisor');
        const level = action === 'degrade' || action === 'stop-bucket' ? 'error' : 'warn';
        log[level]({ action, conversation, reason, details }, 'supervisor acted');
      },
      onFailure: (what, error) => log.warn({ err: error, what }, 'the supervisor could not do something'),
    }),
    enableNonLocalActivities: false,
    workflowFailureErrorTypes: FAILING_ERRORS,
    maxCachedWorkflows: 2,
    maxConcurrentWorkflowTaskExecutions: 2,
    maxConcurrentLocalActivityExecutions: 2,
    workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 2 },
    stickyQueueScheduleToStartTimeout: '2 seconds',
    shutdownGraceTime: '10 seconds',
    shutdownForceTime: '20 seconds',
  });
}

/**
 * Starts the supervisor unless it runs; many workers may call this at once. One whose own tasks fail, for example after a bad
 * release of the supervisor, is replaced: its memory stands in the audit trail.
 */
export async function ensureSupervisor(client: Client, taskQueue: string, input: SupervisorInput = {}): Promise<void> {
  const workflowId = supervisorWorkflowId(taskQueue);
  const handle = client.workflow.getHandle(workflowId);
  try {
    const { raw, status, runId } = await handle.describe();
    if (status.name === 'RUNNING') {
      if ((raw.pendingWorkflowTask?.attempt ?? 0) < MOST_ATTEMPTS) return;
      await client.workflow.getHandle(workflowId, runId).terminate('its tasks fail');
    }
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
  await client.workflow.start(SUPERVISOR_WORKFLOW, {
    workflowId,
    taskQueue: supervisorTaskQueue(taskQueue),
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowTaskTimeout: '5 seconds',
    staticSummary: 'Finds conversations in trouble, and restarts or reports them',
    args: [input],
  });
}

/** Has the supervisor started now, and again whenever it has ended. @returns ends that, not the supervisor */
export function keepSupervisor(
  client: Client,
  taskQueue: string,
  { log, everyMs = 10_000 }: { readonly log: Logger; readonly everyMs?: number },
): () => void {
  const ensure = (): void => {
    ensureSupervisor(client, taskQueue).catch((error: unknown) => log.debug({ err: error }, 'supervisor not started'));
  };
  ensure();
  const timer = setInterval(ensure, everyMs);
  return () => clearInterval(timer);
}
