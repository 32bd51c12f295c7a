import type pg from 'pg';
import type { DatabaseLook } from '../../domain/database-look.ts';
import { type Sizes, readSizes, readStatistics } from './statistics.ts';

/** For how long a look is good: several metrics ask within one scrape. */
const FRESH_MS = 500;
/** A scrape must not wait for a database that does not answer: the other metrics of the process are needed most then. */
const PATIENCE_MS = 500;
/** Sizes change slowly, and looking costs more. */
const SIZES_FRESH_MS = 60_000;

/**
 * Looks at the database when somebody asks, at most twice a second.
 * @param onError gets what went wrong
 * @returns `undefined`: it did not answer in time
 */
export function makeStatisticsReader(
  pool: pg.Pool,
  onError: (error: unknown) => void,
): () => Promise<DatabaseLook | undefined> {
  let known: Sizes | undefined;
  const readSizesAgain = remember(SIZES_FRESH_MS, async () => (known = await readSizes(pool)));
  const sizes = (): Promise<Sizes> => {
    const next = readSizesAgain();
    if (known === undefined) return next;
    // Nobody waits for newer ones.
    next.catch(onError);
    return Promise.resolve(known);
  };
  return remember(FRESH_MS, async () => {
    try {
      const [statistics, size] = await within(PATIENCE_MS, Promise.all([readStatistics(pool), sizes()]));
      return { ...statistics, ...size };
    } catch (error) {
      onError(error);
      return undefined;
    }
  });
}

/** Shares one call between all who ask within a time. What failed is not remembered. */
function remember<T>(freshMs: number, read: () => Promise<T>): () => Promise<T> {
  let latest: Promise<T> | undefined;
  let at = -Infinity;
  return () => {
    if (latest !== undefined && performance.now() - at < freshMs) return latest;
    at = performance.now();
    const mine = read();
    latest = mine;
    mine.catch(() => {
      if (latest === mine) latest = undefined;
    });
    return mine;
  };
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`The database did not answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
