import pg from 'pg';

/** Tables without which there is nothing to import, with the columns that every version of the original has. */
const NEEDED: ReadonlyMap<string, readonly string[]> = new Map([
  ['conversations', ['id', 'creator_did', 'current_epoch', 'created_at']],
  ['members', ['convo_id', 'member_did', 'joined_at', 'left_at']],
  ['messages', ['id', 'convo_id', 'message_type', 'epoch', 'ciphertext', 'created_at']],
]);

/** The original's database, which is only read. Its versions have different columns. */
export interface Original {
  readonly pool: pg.Pool;
  readonly hasTable: (table: string) => boolean;
  /** `otherwise` (SQL) in place of a column that this version does not have. */
  readonly column: (table: string, name: string, otherwise?: string) => string;
  /** Tables and how many rows they have, as far as PostgreSQL has counted. */
  readonly tables: () => Promise<ReadonlyMap<string, number>>;
}

/**
 * Connects and looks at the tables.
 * @param connections of the pool
 * @throws Error that names the tables and columns that are missing
 */
export async function openOriginal(url: string, connections: number): Promise<Original> {
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    application_name: 'parley-import',
    connectionTimeoutMillis: 10_000,
    // It is somebody's service: nothing is ever written there.
    options: '-c default_transaction_read_only=on',
  });
  pool.on('error', () => undefined);
  try {
    const { rows } = await pool.query<{ table: string; column: string }>(
      `select table_name as "table", column_name as "column" from information_schema.columns
       where table_schema = any (current_schemas(false))`,
    );
    const known = new Set(rows.map(({ table, column }) => `${table}.${column}`));
    const missing = [...NEEDED].flatMap(([table, columns]) =>
      columns.map((column) => `${table}.${column}`).filter((name) => !known.has(name)),
    );
    if (missing.length > 0) {
      throw new Error(`This is not the database of the original system: it has no ${missing.join(', ')}.`);
    }
    const names = new Set(rows.map(({ table }) => table));
    return {
      pool,
      hasTable: (table) => names.has(table),
      column: (table, name, otherwise = 'null') => (known.has(`${table}.${name}`) ? name : otherwise),
      tables: () => countRows(pool, names),
    };
  } catch (error) {
    await pool.end();
    throw error;
  }
}

/** Estimates of PostgreSQL: -1 = never counted. Counting large tables would take long, and serves a list of names only. */
async function countRows(pool: pg.Pool, names: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> {
  const { rows } = await pool.query<{ name: string; rows: number }>(
    `select relname as name, reltuples::float8 as rows from pg_class
     where relnamespace = any (current_schemas(false)::regnamespace[]) and relkind = 'r' order by relname`,
  );
  return new Map(rows.filter(({ name }) => names.has(name)).map((row) => [row.name, row.rows]));
}

/** Runs reads of one moment: a conversation is seen whole, also while the original serves. */
export async function inSnapshot<T>(original: Original, read: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await original.pool.connect();
  let failed = true;
  try {
    await client.query('begin isolation level repeatable read read only');
    const result = await read(client);
    failed = false;
    return result;
  } finally {
    // After an error the connection may be in the middle of something.
    if (failed) client.release(true);
    else await client.query('rollback').finally(() => client.release());
  }
}
