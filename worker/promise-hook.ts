import path from 'node:path';
import { fileURLToPath } from 'node:url';
import workerThreads, { type WorkerOptions } from 'node:worker_threads';
import type { Logger } from 'pino';

/** What a thread for workflow code gets from here. */
export interface ThreadData {
  /** The SDK's script for the thread. */
  readonly script: string;
  /** Shared between all threads, see `REFUSED` and `ALLOWED`. */
  readonly counts: Int32Array;
}
/** Place of the number of threads that refused the hook. */
export const REFUSED = 0;
/** Place of a 1 if threads refuse the hook no longer. */
export const ALLOWED = 1;

/** The SDK's script for its threads (`@temporalio/worker`, lib/workflow/threaded-vm.js). */
const SDK_SCRIPT = 'workflow-worker-thread.js';
const OUR_SCRIPT = fileURLToPath(new URL('workflow-thread.js', import.meta.url));

/**
 * Creates a worker of the SDK whose threads for workflow code have no promise hook.
 *
 * The SDK (1.24) installs `v8.promiseHooks.createHook` in each such thread, for stack traces of workflow code. V8 then calls
 * it for every promise, also while `Error.stackTraceLimit` is 0, which costs a fifth of the time of workflow code. There is no option
 * against it, but an error of `createHook` means "not available" to the SDK. So the threads that start during `create` run
 * a script of ours first, which refuses this one call. Nothing else of the thread changes: `AsyncLocalStorage` has its own hook.
 *
 * Whether the SDK asked for the hook, was refused, and started the thread all the same, is checked for each start. If not,
 * for example after an update of the SDK, the log has a warning and the workflows run with the hook.
 * @param create calls `Worker.create`. Called a second time if the SDK could not start without the hook
 * @returns the worker, and whether the hook is off
 */
export async function withoutPromiseHook<T>(
  create: () => Promise<T>,
  log: Logger,
): Promise<{ readonly worker: T; readonly isOff: boolean }> {
  const counts = new Int32Array(new SharedArrayBuffer(8));
  let threads = 0;
  const { Worker } = workerThreads;
  class WorkflowThread extends Worker {
    constructor(script: string | URL, options?: WorkerOptions) {
      if (typeof script !== 'string' || path.basename(script) !== SDK_SCRIPT) {
        super(script, options);
        return;
      }
      threads += 1;
      const data: ThreadData = { script, counts };
      super(OUR_SCRIPT, { ...options, workerData: data });
    }
  }
  // The SDK looks the class up in the module at each start of a thread.
  Object.assign(workerThreads, { Worker: WorkflowThread });
  const first = await create()
    .catch((error: unknown) => log.debug({ err: error }, 'no worker without the promise hook'))
    .finally(() => Object.assign(workerThreads, { Worker }));
  if (first !== undefined && threads > 0 && Atomics.load(counts, REFUSED) === threads) {
    return { worker: first, isOff: true };
  }
  Atomics.store(counts, ALLOWED, 1);
  const worker = first ?? (await create());
  log.warn({ threads }, 'the promise hook of the SDK cannot be switched off: workflow code runs with it');
  return { worker, isOff: false };
}
