import { AsyncLocalStorage } from 'node:async_hooks';
import type pg from 'pg';
import { AppError } from '../domain/errors.ts';

/** For whom statements run, and until when their results are of use. */
interface Beneficiary {
  readonly user: string;
  /** Milliseconds since 1970. */
  readonly deadline: number;
}

const current = new AsyncLocalStorage<Beneficiary | undefined>();

/**
 * Runs work for a user: its statements on a shared-out pool count for this user, also those that it starts later.
 * @param beneficiary `undefined` = the work is for several users, and counts for none
 */
export function forUser<T>(beneficiary: Beneficiary | undefined, work: () => T): T {
  return current.run(beneficiary, work);
}

/** One user's statements: how many run, and which wait for one of them to end. */
interface Share {
  running: number;
  readonly waiting: Waiting[];
}

interface Waiting {
  readonly deadline: number;
  readonly start: () => void;
  readonly drop: () => void;
}

/** Part of the connections of a pool that one user may have at a time. */
const PART = 4;

/** The number of connections of a pool that one user may have at a time: a quarter, and at least one. */
export function shareOf(pool: pg.Pool): number {
  return Math.max(1, Math.floor(pool.options.max / PART));
}

/**
 * The same pool, of which one user gets only a share: the user's other statements wait in a queue of their own, and
 * statements of other users pass them. Without this, one user's slow statements would hold all connections, and the reads of
 * everybody else would fail. Work outside of {@link forUser} has no limit.
 * A statement that still waits at its deadline is not run: its caller has given up.
 * @throws AppError `deadline` from `query`
 */
export function shareOut(pool: pg.Pool, most: number = shareOf(pool)): pg.Pool {
  const shares = new Map<string, Share>();

  const next = (user: string, share: Share): void => {
    while (share.running < most) {
      const waiting = share.waiting.shift();
      if (waiting === undefined) break;
      if (Date.now() >= waiting.deadline) {
        waiting.drop();
        continue;
      }
      share.running++;
      waiting.start();
    }
    if (share.running === 0) shares.delete(user);
  };
  const query = async (...input: unknown[]): Promise<unknown> => {
    const run = (): Promise<unknown> => (pool.query as (...input: unknown[]) => Promise<unknown>).call(pool, ...input);
    const beneficiary = current.getStore();
    if (beneficiary === undefined) return run();
    const { user, deadline } = beneficiary;
    const share = shares.get(user) ?? { running: 0, waiting: [] };
    shares.set(user, share);
    if (share.running < most) share.running++;
    else {
      await new Promise<void>((resolve, reject) => {
        const drop = (): void => reject(new AppError('deadline', 'Too many of your requests wait for the database'));
        share.waiting.push({ deadline, start: resolve, drop });
      });
    }
    try {
      return await run();
    } finally {
      share.running--;
      next(user, share);
    }
  };
  return Object.create(pool, { query: { value: query } }) as pg.Pool;
}
