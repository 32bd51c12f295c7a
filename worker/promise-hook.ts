import path from 'node:path';
import { fileURLToPath } from 'node:url';
import workerThreads, { type MessagePort, type WorkerOptions } from 'node:worker_threads';
import type { Logger } from 'pino';
import { type ThreadAnswers, makeThreadAnswers } from './thread-answers.ts';

/** What a thread for workflow code gets from here. */
export interface ThreadData {
  /** The SDK's script for the thread. */
  readonly script: string;
  /** Shared between all threads, see `REFUSED` and `ALLOWED`. */
  readonly counts: Int32Array;
  /** On which the thread answers that it works. */
  readonly port: MessagePort;
}
/** Place of the number of threads that refused the hook. */
export const REFUSED = 0;
/** Place of a 1 if threads refuse the hook no longer. */
export const ALLOWED = 1;

/** The SDK's script for its threads (`@temporalio/worker`, lib/workflow/threaded-vm.js). */
const SDK_SCRIPT = 'workflow-worker-thread.js';
const OUR_SCRIPT = fileURLToPath(new URL('workflow-thread.js', import.meta.url));

/** A worker of the SDK, and what is known of its threads. */
export interface WithThreads<T> {
  readonly worker: T;
  /** Whether the promise hook is off. */
  readonly isOff: boolean;
  readonly threads: Pick<ThreadAnswers, 'ask'>;
}

/**
 * Creates a worker of the SDK whose threads for workflow code run a script of ours first. It answers pings (`thread-answers.ts`), and
 * by default it switches the promise hook off.
 *
 * The SDK (1.24) installs `v8.promiseHooks.createHook` in each such thread, for stack traces of workflow code. V8 then calls
 * it for every promise, also while `Error.stackTraceLimit` is 0, which costs a fifth of the time of workflow code. There is no option
 * against it, but an error of `createHook` means "not available" to the SDK. So our script refuses this one call. Nothing else of
 * the thread changes: `AsyncLocalStorage` has its own hook.
 *
 * Whether the SDK asked for the hook, was refused, and started the thread all the same, is checked for each start. If not,
 * for example after an update of the SDK, the log has a warning and the workflows run with the hook.
 * @param create calls `Worker.create`. Called a second time if the SDK could not start without the hook
 * @param promiseHook whether the hook stays on
 */
export async function withOurThreads<T>(
  create: () => Promise<T>,
  { promiseHook, log }: { readonly promiseHook: boolean; readonly log: Logger },
): Promise<WithThreads<T>> {
  const counts = new Int32Array(new SharedArrayBuffer(8));
  const threads = makeThreadAnswers();
  if (promiseHook) {
    Atomics.store(counts, ALLOWED, 1);
    return { worker: (await createWith(create, counts, threads)).worker, isOff: false, threads };
  }
  const first = await createWith(create, counts, threads).catch((error: unknown) => {
    log.debug({ err: error }, 'no worker without the promise hook');
    return undefined;
  });
  if (first !== undefined && first.started > 0 && Atomics.load(counts, REFUSED) === first.started) {
    return { worker: first.worker, isOff: true, threads };
  }
  Atomics.store(counts, ALLOWED, 1);
  if (first === undefined) threads.clear();
  const { worker, started } = first ?? (await createWith(create, counts, threads));
  log.warn({ threads: started }, 'the promise hook of the SDK cannot be switched off: workflow code runs with it');
  return { worker, isOff: false, threads };
}

/** Threads for workflow code that start during `create` run our script. */
async function createWith<T>(
  create: () => Promise<T>,
  counts: Int32Array,
  threads: ThreadAnswers,
): Promise<{ readonly worker: T; readonly started: number }> {
  const { Worker } = workerThreads;
  let started = 0;
  class WorkflowThread extends Worker {
    constructor(script: string | URL, options?: WorkerOptions) {
      if (typeof script !== 'string' || path.basename(script) !== SDK_SCRIPT) {
        super(script, options);
        return;
      }
      started += 1;
      const port = threads.addThread();
      const data: ThreadData = { script, counts, port };
      super(OUR_SCRIPT, { ...options, workerData: data, transferList: [port] });
    }
  }
  // The SDK looks the class up in the module at each start of a thread.
  Object.assign(workerThreads, { Worker: WorkflowThread });
  try {
    return { worker: await create(), started };
  } finally {
    Object.assign(workerThreads, { Worker });
  }
}
