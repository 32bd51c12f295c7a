import type { Client } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import { tryUntilDone } from '../process/try-until-done.ts';
import { runWorker } from './run-worker.ts';
import { type SupervisorWorkerDeps, createSupervisorWorker, keepSupervisor } from './supervisor.ts';

export interface SupervisorHost extends Omit<SupervisorWorkerDeps, 'connection'> {
  readonly client: Client;
  /** Opens a connection of its own. Rejects when Temporal does not answer. */
  readonly connect: () => Promise<NativeConnection>;
  /** Workers of one process are created one after another (`promise-hook.ts`). */
  readonly inTurn: <T>(create: () => Promise<T>) => Promise<T>;
  /** Aborted when the process ends. */
  readonly stopping: AbortSignal;
}

/**
 * Hosts the supervisor in this process, beside the worker for conversations and independent of it. Temporal may come later. A
 * worker that fails is made anew.
 * @returns when the process stops
 */
export async function hostSupervisor(host: SupervisorHost): Promise<void> {
  const { client, taskQueue, log, stopping } = host;
  const serve = async (): Promise<void> => {
    const connection = await host.connect();
    try {
      const worker = await host.inTurn(() => createSupervisorWorker({ ...host, connection }));
      const running = runWorker(worker, stopping);
      const forget = keepSupervisor(client, taskQueue, { log });
      await running.finally(forget);
    } finally {
      await connection.close();
    }
  };
  await tryUntilDone({ what: 'worker of the supervisor', step: serve, log, signal: stopping });
}
