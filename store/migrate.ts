import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import type pg from 'pg';
import { SCHEMA } from './pool.ts';

const FILE_NAME = /^(\d{4})_.+\.sql$/;
/** PostgreSQL 18 brings `uuidv7()`. */
const MINIMUM_SERVER_VERSION = 180_000;
/** Waiting for its turn or building an index may take long: the pool's own time limit does not hold here. */
const PATIENCE_MS = 24 * 3_600_000;
/** Any constant: processes that start together take turns on it. */
const MIGRATION_LOCK = 7_203_942;

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

/** Reads the numbered SQL files of a folder, in order. */
export async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => FILE_NAME.test(name)).sort();
  return Promise.all(
    names.map(async (name) => ({
      version: Number(FILE_NAME.exec(name)?.[1]),
      name,
      sql: await readFile(path.join(folder, name), 'utf8'),
    })),
  );
}

/**
 * Applies what is missing, each file in a transaction of its own. Safe when several processes start at once.
 * @returns names of the files applied now
 */
export async function migrate(pool: pg.Pool, migrations: readonly Migration[]): Promise<string[]> {
  const client = await pool.connect();
  const applied: string[] = [];
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
    await client.query(
      `create table if not exists ${SCHEMA}.migration (version int primary key, name text not null, at timestamptz not null default now())`,
    );
    const done = new Set(await migratedVersions(client));
    for (const migration of migrations) {
      if (done.has(migration.version)) continue;
      await client.query('begin');
      await client.query(patiently(migration.sql));
      await client.query('insert into migration (version, name) values ($1, $2)', [migration.version, migration.name]);
      await client.query('commit');
      applied.push(migration.name);
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

/** Whether every migration of the list is in the database; used by readiness. */
export async function isMigrated(pool: pg.Pool, migrations: readonly Migration[]): Promise<boolean> {
  const { rows } = await pool.query<{ exists: boolean }>(
    `select to_regclass('${SCHEMA}.migration') is not null as exists`,
  );
  if (rows[0]?.exists !== true) return false;
  const done = new Set(await migratedVersions(pool));
  return migrations.every((migration) => done.has(migration.version));
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
