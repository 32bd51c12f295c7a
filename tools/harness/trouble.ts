import type pg from 'pg';

/** What a test does to statements on their way to Postgres. */
export interface Trouble {
  /** Called before each statement of the pool; what it throws, the statement throws. */
  before: (statement: Statement) => Promise<void> | void;
}

export interface Statement {
  /** Name of the prepared statement, for example `decide`. */
  readonly name: string;
  readonly values: readonly unknown[];
}

/** A pool in front of which a test can put trouble. */
export function troubledPool(pool: pg.Pool): { pool: pg.Pool; trouble: Trouble } {
  const trouble: Trouble = { before: () => undefined };
  const query = async (config: pg.QueryConfig | string, values?: unknown[]): Promise<pg.QueryResult> => {
    const { name = '', values: own = values ?? [] } = typeof config === 'string' ? {} : config;
    await trouble.before({ name, values: own });
    return pool.query(config as pg.QueryConfig, values);
  };
  return { pool: Object.assign(Object.create(pool) as pg.Pool, { query: query as pg.Pool['query'] }), trouble };
}

/** As `pg` reports it when the server is away: worth another try. */
export function postgresAway(): Error {
  return Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
}

/** A door that holds whoever comes until it opens. */
export interface Gate {
  readonly pass: () => Promise<void>;
  readonly waiting: () => number;
  readonly open: () => void;
}

export function makeGate(): Gate {
  let waiting = 0;
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return {
    pass: () => {
      waiting++;
      return opened;
    },
    waiting: () => waiting,
    open: () => open(),
  };
}
