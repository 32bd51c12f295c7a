import { type ResourceLimits, Worker } from 'node:worker_threads';
import { AppError, ensureError } from '../domain/errors.ts';
import type { JobName } from './jobs.ts';
import type { JobMessage, ThreadMessage } from './thread.ts';
import { pack, unpack, unpackError } from './wire.ts';

/** One thread. It runs one job at a time. */
export interface JobThread {
  /**
   * Resolves when its code is loaded.
   * @throws Error if it ended before
   */
  readonly ready: Promise<void>;
  /**
   * Runs a job. Only one at a time.
   * @param give its bytes move to the thread without a copy
   * @throws AppError from the job; `deadline` if it needs more than the time limit, `unavailable` if the thread died:
   * then `isAlive` is false
   */
  readonly run: (name: JobName, input: readonly unknown[], give: boolean) => Promise<unknown>;
  readonly isAlive: () => boolean;
  readonly end: () => Promise<void>;
}

export interface JobThreadOptions {
  /** The compiled thread.js. */
  readonly entry: string;
  /** A job that runs longer is ended together with its thread. */
  readonly maxJobMs: number;
  readonly limits: ResourceLimits;
}

interface Running {
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Starts a thread. It keeps the process alive only while it starts or has a job. */
export function startJobThread({ entry, maxJobMs, limits }: JobThreadOptions): JobThread {
  // The environment has secrets, which no job needs.
  const worker = new Worker(entry, { env: {}, resourceLimits: limits });
  let isAlive = true;
  let running: Running | undefined;
  let fault: Error | undefined;
  let onReady: Running | undefined;
  const ready = new Promise<void>((resolve, reject) => (onReady = { resolve: () => resolve(), reject }));
  // Who waits for a job learns it too. Without this, a thread that dies at its start would be an unhandled rejection.
  ready.catch(() => undefined);

  const settle = (): Running | undefined => {
    const settled = running;
    running = undefined;
    worker.unref();
    return settled;
  };
  worker.on('message', (message: ThreadMessage) => {
    if (message.kind === 'ready') {
      worker.unref();
      onReady?.resolve(undefined);
    } else if (message.kind === 'done') settle()?.resolve(unpack(message.output));
    else settle()?.reject(unpackError(message.error));
  });
  worker.on('messageerror', (error) => (fault = error));
  worker.on('error', (thrown) => (fault = ensureError(thrown)));
  worker.on('exit', (code) => {
    isAlive = false;
    const cause = fault ?? new Error(`The thread ended with code ${code}`);
    onReady?.reject(cause);
    settle()?.reject(new AppError('unavailable', 'The check of this request ended unexpectedly', {}, { cause }));
  });

  return {
    ready,
    run: async (name, input, give) => {
      const { message, transfer } = pack(input, give);
      let timer: NodeJS.Timeout | undefined;
      try {
        return await new Promise<unknown>((resolve, reject) => {
          running = { resolve, reject };
          worker.ref();
          timer = setTimeout(() => {
            settle()?.reject(new AppError('deadline', 'The check of this request takes too long'));
            isAlive = false;
            void worker.terminate();
          }, maxJobMs);
          worker.postMessage({ name, input: message } satisfies JobMessage, transfer);
        });
      } finally {
        clearTimeout(timer);
      }
    },
    isAlive: () => isAlive,
    end: async () => {
      isAlive = false;
      await worker.terminate();
    },
  };
}
