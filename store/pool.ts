import pg from 'pg';

/** Everything of Parley lives in one schema, so that it can share a database. */
export const SCHEMA = 'parley';

// bigint columns (seq, epoch, counts) as numbers: the API refuses anything beyond 2^53-1.
const types: pg.CustomTypesConfig = {
  getTypeParser: (id, format) =>
    id === pg.types.builtins.INT8 ? Number : (pg.types.getTypeParser(id, format) as unknown),
};

export interface PoolOptions {
  readonly url: string;
  readonly max: number;
  readonly name: string;
  /** Longest single statement; stays below the timeout of the activity that runs it. Default 4 s. */
  readonly statementTimeoutMs?: number;
  /** False: commits return before they are flushed, only where a later commit flushes what matters. Default true. */
  readonly synchronousCommit?: boolean;
}

/**
 * A pool whose connections are set up for the deciding transaction: generic plans (else arrays are planned anew on each
 * call, 2.5x slower), look-ups by key only, time limits. A plan that was cached while the tables were tiny would keep its
 * sequential scans, and its merge and hash joins over whole indexes, while they grow.
 */
export function makePool(options: PoolOptions): pg.Pool {
  const statementTimeout = options.statementTimeoutMs ?? 4000;
  const settings = {
    search_path: SCHEMA,
    plan_cache_mode: 'force_generic_plan',
    enable_seqscan: 'off',
    enable_mergejoin: 'off',
    enable_hashjoin: 'off',
    jit: 'off',
    lock_timeout: String(Math.ceil(statementTimeout * 0.75)),
    statement_timeout: String(statementTimeout),
    idle_in_transaction_session_timeout: '10000',
    ...(options.synchronousCommit === false ? { synchronous_commit: 'off' } : {}),
  };
  return new pg.Pool({
    connectionString: options.url,
    max: options.max,
    application_name: options.name,
    connectionTimeoutMillis: 3000,
    // A connection that died without a word (host gone) must not hold a caller: the server answers or it is given up.
    query_timeout: statementTimeout + 1000,
    keepAlive: true,
    types,
    options: Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
  });
}

/** Connections of a pool, by state, for metrics. */
export function measurePool(pool: pg.Pool): () => { total: number; idle: number; waiting: number } {
  return () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount });
}
