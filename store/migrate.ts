import { createHash } from 'node:crypto';
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

/** The schema that this version of the code needs. */
export interface Schema {
  /** Tables: each file once, in order, never edited after it landed. */
  readonly migrations: readonly Migration[];
  /** Functions (`create or replace`): all of them whenever one has changed. */
  readonly functions: { readonly sql: string; readonly hash: string };
}

/** Reads `migrations/` and the functions of all other folders of `store`. */
export async function readSchema(folder: string): Promise<Schema> {
  const migrations = path.join(folder, 'migrations');
  const names = (await readdir(migrations)).filter((name) => FILE_NAME.test(name)).sort();
  return {
    migrations: await Promise.all(
      names.map(async (name) => ({
        version: Number(FILE_NAME.exec(name)?.[1]),
        name,
        sql: await readFile(path.join(migrations, name), 'utf8'),
      })),
    ),
    functions: await readFunctions(folder),
  };
}

async function readFunctions(folder: string): Promise<Schema['functions']> {
  const names = (await readdir(folder, { recursive: true }))
    .filter((name) => name.endsWith('.sql') && !name.startsWith('migrations'))
    .sort();
  const files = await Promise.all(names.map((name) => readFile(path.join(folder, name), 'utf8')));
  const sql = files.join('\n');
  return { sql, hash: createHash('sha256').update(sql).digest('hex') };
}

/**
 * Applies what is missing, each file in a transaction of its own, then the functions if any has changed. Safe when
 * several processes start at once.
 * @returns names of what was applied now
 */
export async function migrate(pool: pg.Pool, { migrations, functions }: Schema): Promise<string[]> {
  const client = await pool.connect();
  const applied: string[] = [];
  const apply = async (name: string, sql: string, note: pg.QueryConfig): Promise<void> => {
    await client.query('begin');
    await client.query(patiently(sql));
    await client.query(note);
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
    await client.query(
      `create table if not exists ${SCHEMA}.migration (version int primary key, name text not null, at timestamptz not null default now());
       create table if not exists ${SCHEMA}.functions (hash text primary key, at timestamptz not null default now())`,
    );
    const done = new Set(await migratedVersions(client));
    for (const { version, name, sql } of migrations) {
      if (done.has(version)) continue;
      const text = 'insert into migration (version, name) values ($1, $2)';
      await apply(name, sql, { text, values: [version, name] });
    }
    if ((await functionsHash(client)) !== functions.hash) {
      // Bodies name one another, in whatever order the files come.
      await apply('functions', `set local check_function_bodies = off;\n${functions.sql}`, {
        text: 'with old as (delete from functions where hash <> $1) insert into functions (hash) values ($1)',
        values: [functions.hash],
      });
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

/** Whether every migration, and some version of the functions, is in the database; used by readiness. */
export async function isMigrated(pool: pg.Pool, { migrations }: Schema): Promise<boolean> {
  const { rows } = await pool.query<{ exists: boolean }>(
    `select to_regclass('${SCHEMA}.migration') is not null and to_regclass('${SCHEMA}.functions') is not null as exists`,
  );
  if (rows[0]?.exists !== true) return false;
  const done = new Set(await migratedVersions(pool));
  // Functions of a newer version are as good: processes of both versions run while a new one is rolled out.
  return (await functionsHash(pool)) !== undefined && migrations.every((migration) => done.has(migration.version));
}

async function functionsHash(client: pg.Pool | pg.PoolClient): Promise<string | undefined> {
  const { rows } = await client.query<{ hash: string }>(`select hash from ${SCHEMA}.functions`);
  return rows[0]?.hash;
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
