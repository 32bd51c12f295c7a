import type pg from 'pg';

/** Pause between two samples. */
const SAMPLE_MS = 20;
/** The delay of the event loop is an average over about this time. */
const LOOP_MS = 100;
/** The rate of the pool is an average over about this time. */
const RATE_MS = 500;

export interface ExpectedWaitDeps {
  readonly pool: pg.Pool;
  /** Milliseconds until the queues of conversations would begin a command that comes now. @default 0 */
  readonly queues?: (() => number) | undefined;
  /** Gets each sample, in milliseconds. */
  readonly onSample: (waitMs: number) => void;
}

/** How long work that comes now would wait in this process before it begins. */
export interface ExpectedWait {
  /** Milliseconds. */
  readonly ms: () => number;
  readonly close: () => void;
}

/**
 * Measures the expected wait, all the time and cheaply: the delay of the event loop, the queue of the pool, and what
 * the queues of conversations say. The wait for a batch of the own conversation is no overload and does not count.
 */
export function measureExpectedWait({ pool, queues = () => 0, onSample }: ExpectedWaitDeps): ExpectedWait {
  const poolWait = measurePoolWait(pool);
  let sampledAt = performance.now();
  let waitMs = 0;
  let loopMs = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    const passedMs = now - sampledAt;
    sampledAt = now;
    // A timer that comes late waited behind what requests wait behind; they come at any time of it, on average in its middle.
    const lateMs = Math.max(0, passedMs - SAMPLE_MS) / 2;
    loopMs += (lateMs - loopMs) * (1 - Math.exp(-passedMs / LOOP_MS));
    waitMs = loopMs + poolWait.sample(passedMs) + queues();
    onSample(waitMs);
  }, SAMPLE_MS);
  timer.unref();
  return {
    ms: () => waitMs,
    close: () => {
      clearInterval(timer);
      poolWait.close();
    },
  };
}

/** How long the last in the queue of a pool waits: its length, divided by how many connections become free in a millisecond. */
function measurePoolWait(pool: pg.Pool): { sample: (passedMs: number) => number; close: () => void } {
  let released = 0;
  let perMs = 0;
  const onRelease = (): void => {
    released++;
  };
  pool.on('release', onRelease);
  return {
    sample: (passedMs) => {
      const share = 1 - Math.exp(-passedMs / RATE_MS);
      perMs += (released / Math.max(1, passedMs) - perMs) * share;
      released = 0;
      // A queue behind connections that nobody gives back is a matter of the time limits of statements.
      return perMs === 0 ? 0 : pool.waitingCount / perMs;
    },
    close: () => pool.off('release', onRelease),
  };
}
