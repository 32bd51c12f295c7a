import pg from 'pg';
import { type DatabaseServer, connectionOf } from './server.ts';
import { STATEMENT_MS, sessionSettings, settle } from './session-settings.ts';

export { SCHEMA } from './session-settings.ts';

// bigint columns (seq, epoch, counts) as numbers, not as strings: the API refuses everything above 2^53-1.
const types: pg.CustomTypesConfig = {
  getTypeParser: (id, format) =>
    id === pg.types.builtins.INT8 ? Number : (pg.types.getTypeParser(id, format) as unknown),
};

export interface PoolOptions extends DatabaseServer {
  /** Connections. */
  readonly max: number;
  /** `application_name` of the connections. */
  readonly name: string;
  /**
   * Time limit of one statement; must stay below the timeout of the activity that runs it. Behind a pooler the server has the default
   * for all, and only this process knows of another. @default 4000
   */
  readonly statementTimeoutMs?: number;
  /**
   * False: a commit returns before it is flushed to disk. Only for data that a later commit flushes before it matters. Behind a pooler
   * every commit is flushed.
   * @default true
   */
  readonly synchronousCommit?: boolean;
}

/** A pool whose connections are set up for the deciding transaction (`session-settings.ts`). */
export function makePool({ max, name, ...options }: PoolOptions): pg.Pool {
  const statementMs = options.statementTimeoutMs ?? STATEMENT_MS;
  const settings = {
    ...sessionSettings(statementMs),
    ...(options.synchronousCommit === false ? { synchronous_commit: 'off' } : {}),
  };
  const config: pg.PoolConfig = {
    ...connectionOf(options),
    max,
    application_name: name,
    // When the server's host is gone, the connection gives no error: without this limit a caller would wait for ever.
    query_timeout: statementMs + 1000,
    types,
  };
  // The pool waits for the promise, and gives its error to who wanted a connection; its types do not say so.
  return new pg.Pool({ ...config, onConnect: (client) => settle(client, settings) as unknown as undefined });
}

/** Counts the connections of a pool by state, for metrics. */
export function measurePool(pool: pg.Pool): () => { total: number; idle: number; waiting: number } {
  return () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount });
}
