import type { NativeConnection, Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import type pg from 'pg';
import { type Heartbeat, startHeartbeat } from '../store/process/heartbeat.ts';
import { type ProcessSign, signProcess } from '../store/process/processes.ts';
import type { ThreadAnswers } from './thread-answers.ts';

/** Time for the workflow threads and for Temporal to answer. With the pause between two signs it is less than `SILENT_MS`. */
const ANSWER_MS = 800;

export interface WorkerHeartbeatDeps {
  readonly pool: pg.Pool;
  readonly self: Omit<ProcessSign, 'facts' | 'kind'> & { readonly namespace: string };
  /** Undefined while Temporal was not there yet. */
  readonly running: () =>
    | {
        readonly worker: Pick<Worker, 'getStatus'>;
        readonly connection: Pick<NativeConnection, 'withDeadline' | 'workflowService'>;
        readonly threads: Pick<ThreadAnswers, 'ask'>;
      }
    | undefined;
  readonly log: Logger;
}

/**
 * Signs each second that this worker works: only after all its workflow threads answered, with the fact whether it polls and
 * whether Temporal answers on the connection of the polls. A worker that waits for Temporal has no thread yet, and signs that it does not poll.
 */
export function startWorkerHeartbeat({ pool, self, running, log }: WorkerHeartbeatDeps): Heartbeat {
  const { namespace, ...identity } = self;
  const sign = async (): Promise<void> => {
    const now = running();
    const facts = now === undefined ? { polling: false, temporal: false } : await factsOf(now);
    await signProcess(pool, { ...identity, kind: 'worker', facts: { ...facts, namespace } });
  };
  return startHeartbeat({ pool, id: self.id, sign, log });
}

type Running = NonNullable<ReturnType<WorkerHeartbeatDeps['running']>>;

/** @throws Error if a thread does not answer */
async function factsOf({ worker, connection, threads }: Running): Promise<Readonly<Record<string, unknown>>> {
  const [isAnswered, temporal] = await Promise.all([threads.ask(ANSWER_MS), answers(connection)]);
  if (!isAnswered) throw new Error('a workflow thread does not answer');
  const { runState, workflowPollerState, numCachedWorkflows, numInFlightWorkflowActivations } = worker.getStatus();
  return {
    polling: runState === 'RUNNING' && workflowPollerState === 'POLLING',
    temporal,
    cachedConversations: numCachedWorkflows,
    activations: numInFlightWorkflowActivations,
  };
}

/** Asks on the connection of the polls: the SDK itself notices a silent one only after 45 s. */
async function answers(connection: Running['connection']): Promise<boolean> {
  try {
    await connection.withDeadline(Date.now() + ANSWER_MS, () => connection.workflowService.getSystemInfo({}));
    return true;
  } catch {
    return false;
  }
}
