import type { Logger } from 'pino';

/** Clocks of this process; others in tests. */
export interface ProcessClock {
  /** Milliseconds since 1970: what the machine believes. */
  readonly wallMs: () => number;
  /** Milliseconds since any start. It never jumps. */
  readonly monotonicMs: () => number;
}

const SYSTEM: ProcessClock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };

/** A larger difference is a defect of a machine: it is logged. */
export const MAX_CLOCK_SKEW_MS = 5000;
/** Between two warnings. */
const WARN_EVERY_MS = 60_000;
/** Two good clocks drift apart by less than this: 200 ms an hour are 0.000056. */
const DRIFT = 0.0005;

/**
 * The clock of the database, which judges `notAfter`, tokens and lifetimes, as far as this process knows it. Before the first
 * call it is the process's own. All times that leave this process, or come from outside, are compared with it.
 */
export interface DatabaseClock {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds by which the clock of this process is ahead of the database's; 0 before the first call. */
  readonly skewMs: () => number;
  /**
   * The time of the database at a time of this process (milliseconds since 1970), in whole milliseconds. It is as far from
   * the database's now as the given time is from the process's; never later, and earlier by what is not known: at most the
   * duration of the fastest recent call. So a limit for the database never allows more than the process does.
   */
  readonly at: (ownMs: number) => number;
  /**
   * Learns from a call.
   * @param call returns its result, and what `clock_timestamp()` was while it ran (milliseconds since 1970)
   * @returns the result. @throws what the call throws
   */
  readonly learnFrom: <T extends { readonly databaseMs: number }>(call: () => Promise<T>) => Promise<T>;
}

/** Where there is no database, or it shares the clock of the process. */
export const OWN_CLOCK: DatabaseClock = {
  now: () => Date.now(),
  skewMs: () => 0,
  at: (ownMs) => Math.round(ownMs),
  learnFrom: (call) => call(),
};

/** The bounds of `database - monotonic`, as one or more calls showed them, and when they were true. */
interface Bounds {
  readonly low: number;
  readonly high: number;
  /** Monotonic. */
  readonly since: number;
}

/**
 * Keeps the difference between the clock of the database and that of this process.
 *
 * The database reads its clock at some moment between the start and the end of a call. So each call gives bounds of the
 * difference, which are as wide as the call took: the bounds are kept while new ones overlap them, so fast calls count and
 * slow ones do no harm. Bounds grow with time, since clocks drift. New bounds that do not overlap mean that a clock has
 * jumped (a step of NTP, a failover to another host, a suspended machine): then only the new ones count.
 */
export function makeDatabaseClock({
  log,
  clock = SYSTEM,
}: {
  readonly log: Logger;
  readonly clock?: ProcessClock;
}): DatabaseClock {
  let bounds: Bounds | undefined;
  let warnedAt = Number.NEGATIVE_INFINITY;

  const now = (): number =>
    bounds === undefined ? clock.wallMs() : clock.monotonicMs() + (bounds.low + bounds.high) / 2;
  const earliest = (): number => (bounds === undefined ? clock.wallMs() : clock.monotonicMs() + bounds.low);
  const skewMs = (): number => (bounds === undefined ? 0 : clock.wallMs() - now());
  const warn = (at: number): void => {
    const skew = skewMs();
    if (Math.abs(skew) <= MAX_CLOCK_SKEW_MS || at - warnedAt < WARN_EVERY_MS) return;
    warnedAt = at;
    log.warn({ skewMs: Math.round(skew) }, 'the clock of this process differs from that of the database');
  };

  return {
    now,
    skewMs,
    at: (ownMs) => Math.floor(earliest() + (ownMs - clock.wallMs())),
    learnFrom: async (call) => {
      const sentAt = clock.monotonicMs();
      const result = await call();
      const receivedAt = clock.monotonicMs();
      const seen = { low: result.databaseMs - receivedAt, high: result.databaseMs - sentAt, since: receivedAt };
      bounds = bounds === undefined ? seen : merge(bounds, seen);
      warn(receivedAt);
      return result;
    },
  };
}

/** What both say; only the newer if they contradict each other. */
function merge(older: Bounds, seen: Bounds): Bounds {
  const drift = (seen.since - older.since) * DRIFT;
  const low = Math.max(older.low - drift, seen.low);
  const high = Math.min(older.high + drift, seen.high);
  return low <= high ? { low, high, since: seen.since } : seen;
}
