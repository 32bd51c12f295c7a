import pg from 'pg';

/** Schema of all tables and functions. A schema of its own, so that other software can use the same database. */
export const SCHEMA = 'parley';

// bigint columns (seq, epoch, counts) as numbers, not as strings: the API refuses everything above 2^53-1.
const types: pg.CustomTypesConfig = {
  getTypeParser: (id, format) =>
    id === pg.types.builtins.INT8 ? Number : (pg.types.getTypeParser(id, format) as unknown),
};

export interface PoolOptions {
  readonly url: string;
  /** Connections. */
  readonly max: number;
  /** `application_name` of the connections. */
  readonly name: string;
  /** Time limit of one statement; must stay below the timeout of the activity that runs it. @default 4000 */
  readonly statementTimeoutMs?: number;
  /**
   * False: a commit returns before it is flushed to disk. Only for data that a later commit flushes before it matters.
   * @default true
   */
  readonly synchronousCommit?: boolean;
}

/**
 * A pool whose connections are set up for the deciding transaction. Generic plans: otherwise statements with arrays are
 * planned again at each call, 2.5 times slower. Look-ups by key only: a plan that was made while the tables were tiny would
 * keep its sequential scans, and its merge and hash joins over whole indexes, when the tables have grown. Time limits.
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
    // A failed statement is logged without its parameters, however the server is set: they are user ids and ciphertext.
    log_parameter_max_length_on_error: '0',
    ...(options.synchronousCommit === false ? { synchronous_commit: 'off' } : {}),
  };
  return new pg.Pool({
    connectionString: options.url,
    max: options.max,
    application_name: options.name,
    connectionTimeoutMillis: 3000,
    // When the server's host is gone, the connection gives no error: without this limit a caller would wait for ever.
    query_timeout: statementTimeout + 1000,
    keepAlive: true,
    types,
    options: Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
  });
}

/** Counts the connections of a pool by state, for metrics. */
export function measurePool(pool: pg.Pool): () => { total: number; idle: number; waiting: number } {
  return () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount });
}
