import type { Client } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import type pg from 'pg';
import { pino } from 'pino';
import { makeConversationWorkflows } from '../../dispatch/conversation-workflows.ts';
import { makeSupervisedRuns } from '../../dispatch/supervised-runs.ts';
import { DEFAULT_POLICY, type SupervisionPolicy } from '../../domain/supervision/policy.ts';
import { type Metrics, makeMetrics } from '../../process/metrics.ts';
import { writePolicy } from '../../store/supervision/policy.ts';
import { createSupervisorWorker, ensureSupervisor } from '../../worker/supervisor.ts';
import { DEFAULT_SETTINGS, conversationWorkflowId } from '../../workflows/conversation/messages.ts';
import { supervisorWorkflowId } from '../../workflows/supervisor/messages.ts';

/** Quick rounds, short patience: these tests wait for the supervisor. */
export const QUICK: SupervisionPolicy = {
  ...DEFAULT_POLICY,
  intervalMs: 250,
  patienceMs: 2000,
  maxPerRound: 200,
  taskAttempts: 2,
  backoffInitialMs: 100,
};

export interface RunningSupervisor {
  readonly metrics: Metrics;
  /** SIGTERM for its worker; the workflow stays. */
  readonly stopWorker: () => Promise<void>;
  readonly startWorker: () => Promise<void>;
  /** Ends workflow and worker. */
  readonly stop: () => Promise<void>;
}

/** The supervisor of a task queue, with its worker in this process. */
export async function startSupervisor(deps: {
  readonly client: Client;
  readonly native: NativeConnection;
  readonly pool: pg.Pool;
  readonly taskQueue: string;
  readonly policy?: Partial<SupervisionPolicy>;
  readonly rounds?: number;
}): Promise<RunningSupervisor> {
  const { client, native, pool, taskQueue, rounds } = deps;
  const log = pino({ level: 'silent' });
  const metrics = makeMetrics({ collectDefaults: false });
  const settings = DEFAULT_SETTINGS;
  const workflows = makeConversationWorkflows({ client, taskQueue, settings });
  const runs = makeSupervisedRuns({ client, taskQueue, settings, workflows });
  let stopWorker = (): Promise<void> => Promise.resolve();
  const startWorker = async (): Promise<void> => {
    const worker = await createSupervisorWorker({
      connection: native,
      namespace: client.options.namespace,
      taskQueue,
      pool,
      runs,
      version: '0.0.0',
      build: 'test',
      metrics,
      log,
      identity: 'supervisor-worker',
    });
    const running = worker.run();
    stopWorker = async () => {
      worker.shutdown();
      await running;
    };
  };
  await writePolicy(pool, { ...QUICK, ...deps.policy }, 'test');
  await startWorker();
  await ensureSupervisor(client, taskQueue, rounds === undefined ? {} : { rounds });
  return {
    metrics,
    stopWorker: () => stopWorker(),
    startWorker,
    stop: async () => {
      const handle = client.workflow.getHandle(supervisorWorkflowId(taskQueue));
      // A test may have ended it.
      await handle.terminate().catch(() => undefined);
      await stopWorker();
    },
  };
}

/**
 * Replaces the runs of conversations by runs that no worker can go on with: their input is that of no release, and their tasks
 * fail for ever.
 */
export async function wedge(client: Client, taskQueue: string, conversations: readonly string[]): Promise<void> {
  await Promise.all(
    conversations.map((conversation) =>
      client.workflow.start('conversation', {
        workflowId: conversationWorkflowId(conversation),
        taskQueue,
        args: [{ conversation }],
        workflowTaskTimeout: '3 seconds',
        workflowIdConflictPolicy: 'TERMINATE_EXISTING',
      }),
    ),
  );
}

/** Replaces the run of a conversation by one on a task queue that nobody polls: its updates are never answered. */
export async function strand(client: Client, conversation: string): Promise<void> {
  await client.workflow.start('conversation', {
    workflowId: conversationWorkflowId(conversation),
    taskQueue: 'nobody-polls-this',
    args: [{ conversation, settings: DEFAULT_SETTINGS }],
    workflowIdConflictPolicy: 'TERMINATE_EXISTING',
  });
}
