import { availableParallelism } from 'node:os';
import path from 'node:path';
import type { Logger } from 'pino';
import { AppError } from '../domain/errors.ts';
import {
  MAX_JOB_MS,
  MAX_THREAD_HEAP_MB,
  MAX_WAITING_JOBS,
  MAX_WAITING_JOB_BYTES,
  WAITING_JOBS_SHARE,
} from '../domain/limits.ts';
import type { Metrics } from '../process/metrics.ts';
import { packageRoot } from '../process/package-root.ts';
import { FairQueue, type QueueLimits } from './fair-queue.ts';
import { type JobThread, startJobThread } from './job-thread.ts';
import { JOBS, type JobName, type JobOwner, type Jobs, MOVES_BYTES, runsInline } from './jobs.ts';
import { sizeOf } from './wire.ts';

export interface JobPoolOptions {
  /** 0 = one less than the cores, and at least one. */
  readonly threads: number;
  /** Longest time that a job of an owner without a deadline may wait. */
  readonly maxWaitMs: number;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'job' | 'jobWait' | 'jobRefused' | 'jobsWaiting'>;
  /** For tests; the default is the limits of `domain/limits.ts`. */
  readonly queue?: QueueLimits;
  /** For tests. @default MAX_JOB_MS */
  readonly maxJobMs?: number;
  /** For tests. @default MAX_THREAD_HEAP_MB */
  readonly maxHeapMb?: number;
  /** For tests: the file that a thread runs. @default dist/compute/thread.js */
  readonly entry?: string;
  /** For tests. @default by the size of the input */
  readonly runsInline?: (name: JobName, bytes: number) => boolean;
}

/** Jobs that run in threads, if they are not small. */
export interface JobPool extends Jobs {
  /** Starts all threads, so that the first job need not wait for one. */
  readonly start: () => Promise<void>;
  /** Jobs that wait for a thread. */
  readonly waiting: () => number;
  /** Ends all threads. Jobs that wait or run fail with `unavailable`. */
  readonly close: () => Promise<void>;
}

interface WaitingJob {
  readonly user: string;
  readonly deadline: number;
  readonly bytes: number;
  readonly name: JobName;
  readonly input: readonly unknown[];
  readonly since: number;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const QUEUE: QueueLimits = { jobs: MAX_WAITING_JOBS, bytes: MAX_WAITING_JOB_BYTES, share: WAITING_JOBS_SHARE };
const secondsSince = (start: number): number => (performance.now() - start) / 1000;

/**
 * Runs small jobs at once and all others in threads, in turns between users. A job that kills its thread, or needs more
 * than its time, fails alone: another thread takes its place.
 */
export function makeJobPool(options: JobPoolOptions): JobPool {
  const { log, metrics } = options;
  const size = options.threads > 0 ? options.threads : Math.max(1, availableParallelism() - 1);
  // With several threads one stays free of each user, whatever that user sends.
  const perUser = Math.max(1, size - 1);
  const entry = options.entry ?? path.join(packageRoot(), 'dist', 'compute', 'thread.js');
  const isSmall = options.runsInline ?? runsInline;
  const queue = new FairQueue<WaitingJob>(options.queue ?? QUEUE);
  const idle: JobThread[] = [];
  const threads = new Set<JobThread>();
  const runningOf = new Map<string, number>();
  let running = 0;
  let isClosed = false;
  metrics.jobsWaiting(() => queue.length);

  /** Starts a thread, which takes jobs as soon as it is ready. */
  const addThread = async (): Promise<void> => {
    const thread = startJobThread({
      entry,
      maxJobMs: options.maxJobMs ?? MAX_JOB_MS,
      limits: { maxOldGenerationSizeMb: options.maxHeapMb ?? MAX_THREAD_HEAP_MB },
    });
    threads.add(thread);
    try {
      await thread.ready;
      idle.push(thread);
    } catch (error) {
      threads.delete(thread);
      if (isClosed) return;
      log.error({ err: error }, 'a thread for jobs did not start');
      // One job fails for each attempt, so that nothing waits for threads that never start.
      takeNext()?.reject(new AppError('unavailable', 'No thread could be started', {}, { cause: error }));
    }
    dispatch();
  };

  /** The next job that somebody still waits for. */
  const takeNext = (): WaitingJob | undefined => {
    for (;;) {
      const job = queue.take((user) => (runningOf.get(user) ?? 0) < perUser);
      if (job === undefined || job.deadline > Date.now()) return job;
      metrics.jobRefused('late');
      job.reject(new AppError('deadline', 'The check of this request did not start in time'));
    }
  };

  /** A thread without a job. One that died meanwhile is forgotten. */
  const takeIdle = (): JobThread | undefined => {
    for (let thread = idle.pop(); thread !== undefined; thread = idle.pop()) {
      if (thread.isAlive()) return thread;
      threads.delete(thread);
    }
    return undefined;
  };

  const dispatch = (): void => {
    if (isClosed) return;
    for (let thread = takeIdle(); thread !== undefined; thread = takeIdle()) {
      const job = takeNext();
      if (job === undefined) {
        idle.push(thread);
        break;
      }
      void runIn(thread, job);
    }
    // Threads that are starting come back here by themselves.
    const starting = threads.size - idle.length - running;
    for (let n = starting; n < queue.length && threads.size < size; n++) void addThread();
  };

  const runIn = async (thread: JobThread, job: WaitingJob): Promise<void> => {
    const { name, user, input } = job;
    const start = performance.now();
    running++;
    runningOf.set(user, (runningOf.get(user) ?? 0) + 1);
    metrics.jobWait(secondsSince(job.since));
    try {
      job.resolve(await thread.run(name, input, MOVES_BYTES.has(name)));
    } catch (error) {
      if (!thread.isAlive()) {
        metrics.jobRefused(error instanceof AppError && error.code === 'deadline' ? 'too-long' : 'crashed');
        if (!isClosed) log.error({ err: error, job: name }, 'a job ended its thread');
      }
      job.reject(error);
    } finally {
      metrics.job(name, 'thread', secondsSince(start));
      running--;
      const others = (runningOf.get(user) ?? 1) - 1;
      if (others === 0) runningOf.delete(user);
      else runningOf.set(user, others);
      if (thread.isAlive()) idle.push(thread);
      else threads.delete(thread);
      dispatch();
    }
  };

  const enqueue = (name: JobName, owner: JobOwner, input: readonly unknown[], bytes: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (isClosed) throw new AppError('unavailable', 'The service stops');
      const since = performance.now();
      for (const lost of queue.add({ ...owner, name, input, bytes, since, resolve, reject })) {
        metrics.jobRefused('full');
        lost.reject(new AppError('overloaded', 'Too many checks of your requests wait'));
      }
      dispatch();
    });

  const runHere = async (name: JobName, input: readonly unknown[]): Promise<unknown> => {
    const start = performance.now();
    try {
      return await (JOBS[name] as (...args: readonly unknown[]) => unknown)(...input);
    } finally {
      metrics.job(name, 'inline', secondsSince(start));
    }
  };

  return {
    run: (async (name: JobName, owner: string | JobOwner, ...input: readonly unknown[]) => {
      const bytes = sizeOf(input);
      if (isSmall(name, bytes)) return runHere(name, input);
      const full = typeof owner === 'string' ? { user: owner, deadline: Date.now() + options.maxWaitMs } : owner;
      return enqueue(name, full, input, bytes);
    }) as Jobs['run'],
    start: async () => {
      await Promise.all(Array.from({ length: size - threads.size }, addThread));
    },
    waiting: () => queue.length,
    close: async () => {
      isClosed = true;
      for (const job of queue.clear()) job.reject(new AppError('unavailable', 'The service stops'));
      await Promise.all([...threads].map((thread) => thread.end()));
    },
  };
}
