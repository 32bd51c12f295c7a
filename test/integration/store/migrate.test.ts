import path from 'node:path';
import type pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { type Migration, type Schema, isMigrated, migrate, readSchema } from '../../../store/migrate.ts';
import { makePool } from '../../../store/pool.ts';
import { type TestDatabase, createTestDatabase } from '../../harness/database.ts';

const schema = await readSchema(path.join(packageRoot(), 'store'));

const NONE: Schema['functions'] = { sql: '', hash: 'none' };
/** What a first start applies. */
const ALL = [...schema.migrations.map(({ name }) => name), 'functions'];

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase('template0');
  onTestFinished(() => database.drop());
  return database;
}

test('eight processes that start at once apply each migration once', async () => {
  const { url } = await emptyDatabase();
  const pools = Array.from({ length: 8 }, (_, i) => makePool({ url, max: 1, name: `start-${i}` }));
  const applied = await Promise.all(pools.map((pool) => migrate(pool, schema)));
  await Promise.all(pools.map((pool) => pool.end()));
  expect(applied.flat().sort()).toEqual(ALL);
});

test('a second start applies nothing, and readiness tells the difference', async () => {
  const { pool } = await emptyDatabase();
  expect(await isMigrated(pool, schema)).toBe(false);
  await migrate(pool, { ...schema, migrations: schema.migrations.slice(0, 1), functions: NONE });
  expect(await isMigrated(pool, schema)).toBe(false);
  expect(await migrate(pool, schema)).toEqual(ALL.slice(1));
  expect(await isMigrated(pool, schema)).toBe(true);
  expect(await migrate(pool, schema)).toEqual([]);
});

test('a file that fails leaves nothing of itself, and those before it stay', async () => {
  const { pool } = await emptyDatabase();
  const first = migration(1, 'create table kept (n int)');
  const broken = migration(2, 'create table gone (n int); select 1 / 0');
  await expect(migrate(pool, schemaOf(first, broken))).rejects.toThrow('division by zero');
  const { rows } = await pool.query(`select to_regclass('kept') is not null as kept, to_regclass('gone') as gone`);
  expect(rows).toEqual([{ kept: true, gone: null }]);
  expect(await migrate(pool, schemaOf(first, migration(2, 'select 1')))).toEqual(['2.sql', 'functions']);
});

test('migrations only go forward: one that an older process does not know stays', async () => {
  const { pool } = await emptyDatabase();
  const both = [migration(1, 'create table one (n int)'), migration(2, 'create table two (n int)')];
  await migrate(pool, schemaOf(...both));
  expect(await migrate(pool, schemaOf(...both.slice(0, 1)))).toEqual([]);
  expect(await isMigrated(pool, schemaOf(...both))).toBe(true);
});

test('a server that is too old is refused before anything is changed', async () => {
  const { pool } = await emptyDatabase();
  const old = new Proxy(pool, {
    get: (target, name, receiver) =>
      name === 'connect' ? () => connectAsOld(target) : (Reflect.get(target, name, receiver) as unknown),
  });
  await expect(migrate(old, schema)).rejects.toThrow('Parley needs PostgreSQL 18 or newer.');
  expect(await isMigrated(pool, schema)).toBe(false);
});

test('functions are replaced when one has changed, and only then', async () => {
  const { pool } = await emptyDatabase();
  const answering = (n: number): Schema => ({
    migrations: [],
    functions: { sql: `create or replace function answer() returns int language sql as 'select ${n}'`, hash: `${n}` },
  });
  expect(await migrate(pool, answering(1))).toEqual(['functions']);
  expect(await migrate(pool, answering(1))).toEqual([]);
  expect(await migrate(pool, answering(2))).toEqual(['functions']);
  const { rows } = await pool.query('select answer()');
  expect(rows).toEqual([{ answer: 2 }]);
});

test('files are numbered upwards, and never twice', () => {
  const versions = schema.migrations.map(({ version }) => version);
  expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
});

function schemaOf(...migrations: Migration[]): Schema {
  return { migrations, functions: NONE };
}

function migration(version: number, sql: string): Migration {
  return { version, name: `${version}.sql`, sql };
}

/** A connection to a server that says it is of version 17. */
async function connectAsOld(pool: pg.Pool): Promise<pg.PoolClient> {
  const client = await pool.connect();
  const query = client.query.bind(client) as (...all: unknown[]) => Promise<unknown>;
  client.query = ((text: unknown, ...rest: unknown[]) =>
    typeof text === 'string' && text.includes('server_version_num')
      ? query('select 170005 as version')
      : query(text, ...rest)) as typeof client.query;
  return client;
}
