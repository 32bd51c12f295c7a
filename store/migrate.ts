import type pg from 'pg';
import { SCHEMA } from './pool.ts';
import { type Migration, type Schema, checksum } from './schema.ts';

export { type Migration, type Schema, readSchema } from './schema.ts';

/** PostgreSQL 18 has `uuidv7()`. */
const MINIMUM_SERVER_VERSION = 180_000;
/** Waiting for its turn or building an index may take long: the pool's own time limit does not hold here. */
const PATIENCE_MS = 24 * 3_600_000;
/** Any constant: processes that start together take turns on it. */
const MIGRATION_LOCK = 7_203_942;

/** What the database remembers. `sha256` and `version` came with release 0.2.0: rows of 0.1.0 have none. */
const TABLES = `
  create table if not exists ${SCHEMA}.migration (version int primary key, name text not null, at timestamptz not null default now());
  create table if not exists ${SCHEMA}.functions (hash text primary key, at timestamptz not null default now());
  alter table ${SCHEMA}.migration add column if not exists sha256 text;
  alter table ${SCHEMA}.functions add column if not exists version int`;

/**
 * Functions that are not in the set any more: their rows are not of the transaction that just installed the set. Processes of
 * an older release call entry points only (decide, stage and so on), and every set has those.
 */
const OTHER_FUNCTIONS = `select oid::regprocedure::text as signature from pg_proc
  where pronamespace = '${SCHEMA}'::regnamespace and xmin::text <> pg_current_xact_id()::xid::text`;
/** A call that began before the set was installed may still need an old helper. Every statement ends within this time. */
const OLD_CALLS_MS = 10_000;
const POLL_MS = 20;

/**
 * Applies what is missing, each file in a transaction of its own, then the functions if any has changed. Safe when several
 * processes start at once.
 * @returns names of what was applied now
 * @throws Error when an applied migration was edited since, when the database has functions of a later release, or when the
 * server is too old
 */
export async function migrate(pool: pg.Pool, { migrations, functions }: Schema): Promise<string[]> {
  const client = await pool.connect();
  const applied: string[] = [];
  const apply = async (
    name: string,
    sql: string,
    note: pg.QueryConfig,
    atEnd: () => Promise<void> = () => Promise.resolve(),
  ): Promise<void> => {
    await client.query('begin');
    await client.query(patiently(sql));
    await client.query(note);
    await atEnd();
    await client.query('commit');
    applied.push(name);
  };
  try {
    await client.query('set statement_timeout = 0; set lock_timeout = 0');
    await client.query(patiently(`select pg_advisory_lock(${MIGRATION_LOCK})`));
    const server = await client.query<{ version: number }>(
      `select current_setting('server_version_num')::int as version`,
    );
    if ((server.rows[0]?.version ?? 0) < MINIMUM_SERVER_VERSION) {
      throw new Error('Parley needs PostgreSQL 18 or newer.');
    }
    await client.query(`create schema if not exists ${SCHEMA}`);
    if (!(await isPrepared(client))) await client.query(TABLES);
    const installed = await installedFunctions(client);
    if (installed !== undefined && installed.version > functions.version) {
      throw new Error(
        `The database has SQL functions of version ${installed.version}; this release has version ${functions.version}. ` +
          'Run migrate of the later release. To go back to this release, start its processes without migrate: they work with later functions.',
      );
    }
    await checkMigrations(client, migrations);
    const done = new Set(await migratedVersions(client));
    for (const { version, name, sql } of migrations) {
      if (done.has(version)) continue;
      const text = 'insert into migration (version, name, sha256) values ($1, $2, $3)';
      await apply(name, sql, { text, values: [version, name, checksum(sql)] });
    }
    // A migration may add a column, which save_conversation() must take up.
    if (applied.length > 0 || installed?.hash !== functions.hash || installed.version !== functions.version) {
      // Bodies name one another, in whatever order the files come.
      const note = {
        text: `with old as (delete from functions where hash <> $1)
          insert into functions (hash, version) values ($1, $2)
          on conflict (hash) do update set version = excluded.version, at = now()`,
        values: [functions.hash, functions.version],
      };
      let others: string[] = [];
      await apply('functions', `set local check_function_bodies = off;\n${functions.sql}`, note, async () => {
        const { rows } = await client.query<{ signature: string }>(OTHER_FUNCTIONS);
        others = rows.map(({ signature }) => signature);
      });
      if (others.length > 0) await dropFunctions(client, others);
    }
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    // The connection is closed, which frees the lock and the changed settings even after a failure.
    client.release(true);
  }
  return applied;
}

/** Whether every migration, and these functions or later ones, are in the database; used by readiness. */
export async function isMigrated(pool: pg.Pool, { migrations, functions }: Schema): Promise<boolean> {
  if (!(await isPrepared(pool))) return false;
  const done = new Set(await migratedVersions(pool));
  // Functions of a later version are as good: processes of both versions run while a new one is rolled out.
  const installed = await installedFunctions(pool);
  return (
    installed !== undefined &&
    installed.version >= functions.version &&
    migrations.every((migration) => done.has(migration.version))
  );
}

/** Compares the applied files with those of this release; records the checksums of those that 0.1.0 applied. */
async function checkMigrations(client: pg.PoolClient, migrations: readonly Migration[]): Promise<void> {
  const { rows } = await client.query<{ version: number; sha256: string | null }>(
    `select version, sha256 from ${SCHEMA}.migration`,
  );
  const recorded = new Map(rows.map((row) => [row.version, row.sha256]));
  for (const { version, name, sql } of migrations) {
    const sha256 = recorded.get(version);
    if (sha256 === undefined || sha256 === checksum(sql)) continue;
    if (sha256 !== null) {
      throw new Error(
        `Migration ${name} was changed after it was applied to this database. Restore the file of the release, and put the change into a new migration.`,
      );
    }
    await client.query(`update ${SCHEMA}.migration set sha256 = $2 where version = $1`, [version, checksum(sql)]);
  }
}

/** Whether the tables of `migrate` itself are there, with the columns of this release. */
async function isPrepared(client: pg.Pool | pg.PoolClient): Promise<boolean> {
  const { rows } = await client.query<{ count: number }>(
    `select count(*)::int as count from pg_attribute
     where (attrelid = to_regclass('${SCHEMA}.migration') and attname = 'sha256')
       or (attrelid = to_regclass('${SCHEMA}.functions') and attname = 'version')`,
  );
  return rows[0]?.count === 2;
}

/** `undefined` = none yet. Functions without a number are those of release 0.1.0. */
async function installedFunctions(
  client: pg.Pool | pg.PoolClient,
): Promise<{ readonly hash: string; readonly version: number } | undefined> {
  const { rows } = await client.query<{ hash: string; version: number }>(
    `select hash, coalesce(version, 1) as version from ${SCHEMA}.functions order by version desc nulls last`,
  );
  return rows[0];
}

/** Drops functions that no call can need any more. Where this is interrupted, they stay until the next set is installed. */
async function dropFunctions(client: pg.PoolClient, signatures: readonly string[]): Promise<void> {
  const { rows } = await client.query<{ now: Date }>('select clock_timestamp() as now');
  const until = Date.now() + OLD_CALLS_MS;
  while (Date.now() < until && (await hasOlderTransactions(client, rows[0]?.now ?? new Date()))) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  for (const signature of signatures) await client.query(`drop routine if exists ${signature}`);
}

async function hasOlderTransactions(client: pg.PoolClient, than: Date): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
       and state = 'active' and xact_start < $1 limit 1`,
    [than],
  );
  return (rowCount ?? 0) > 0;
}

/** `query_timeout` of one query, which the types of `pg` leave out. */
function patiently(text: string): pg.QueryConfig {
  const query = { text, query_timeout: PATIENCE_MS };
  return query;
}

async function migratedVersions(client: pg.Pool | pg.PoolClient): Promise<number[]> {
  const { rows } = await client.query<{ version: number }>(`select version from ${SCHEMA}.migration`);
  return rows.map((row) => row.version);
}
