import type { Worker } from '@temporalio/worker';

/**
 * Runs a worker until it is stopped. The SDK stops those workers that run when a signal comes, and forgets the signal: a worker that
 * was being created at that moment would run until SIGKILL.
 * @param stopping aborted by the signal
 */
export async function runWorker(worker: Pick<Worker, 'run' | 'shutdown'>, stopping: AbortSignal): Promise<void> {
  const ended = worker.run();
  if (stopping.aborted) worker.shutdown();
  await ended;
}
