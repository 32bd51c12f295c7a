import type pg from 'pg';

/** A pool that notes the statements of others on it. */
export interface RecordingPool {
  readonly pool: pg.Pool;
  /** The names of the statements since the last call, in order. */
  readonly taken: () => string[];
}

/** Wraps a pool. Its statements run as before. */
export function recordStatements(pool: pg.Pool): RecordingPool {
  let names: string[] = [];
  const query = (...input: unknown[]): unknown => {
    const [statement] = input as [string | { name?: string; text: string }];
    names.push(typeof statement === 'string' ? statement : (statement.name ?? statement.text));
    return (pool.query as (...all: unknown[]) => unknown).call(pool, ...input);
  };
  return {
    pool: Object.create(pool, { query: { value: query } }) as pg.Pool,
    taken: () => {
      const before = names;
      names = [];
      return before;
    },
  };
}
