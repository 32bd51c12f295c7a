import path from 'node:path';
import type pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { type Migration, type Schema, isMigrated, migrate, readSchema } from '../../../store/migrate.ts';
import { makePool } from '../../../store/pool.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { type TestDatabase, createTestDatabase } from '../../harness/database.ts';
import { patientPool } from '../../harness/patient-pool.ts';
import { sendOne, startConversation } from '../../harness/requests.ts';

const schema = await readSchema(path.join(packageRoot(), 'store'));

const NONE: Schema['functions'] = { version: 1, sql: '', hash: 'none' };
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
    functions: {
      version: 1,
      sql: `create or replace function answer() returns int language sql as 'select ${n}'`,
      hash: `${n}`,
    },
  });
  expect(await migrate(pool, answering(1))).toEqual(['functions']);
  expect(await migrate(pool, answering(1))).toEqual([]);
  expect(await migrate(pool, answering(2))).toEqual(['functions']);
  const { rows } = await pool.query('select answer()');
  expect(rows).toEqual([{ answer: 2 }]);
});

test('functions of a later release stay, and the older release says what to do', async () => {
  const { pool } = await emptyDatabase();
  const release = (version: number): Schema => ({
    migrations: [],
    functions: {
      version,
      sql: `create or replace function release() returns int language sql as 'select ${version}'`,
      hash: `${version}`,
    },
  });
  await migrate(pool, release(3));
  await expect(migrate(pool, release(2))).rejects.toThrow(
    'The database has SQL functions of version 3; this release has version 2. Run migrate of the later release. ' +
      'To go back to this release, start its processes without migrate: they work with later functions.',
  );
  expect((await pool.query('select release()')).rows).toEqual([{ release: 3 }]);
  expect(await isMigrated(pool, release(2)), 'processes of the older release are ready').toBe(true);
  expect(await isMigrated(pool, release(4)), 'those of a later one wait for its functions').toBe(false);
  expect(await migrate(pool, release(4))).toEqual(['functions']);
});

test('functions that are not in the set any more are dropped, whatever their arguments were', async () => {
  const { pool } = await emptyDatabase();
  const set = (version: number, ...sql: string[]): Schema => ({
    migrations: [],
    functions: {
      version,
      sql: sql.map((text) => `create or replace function ${text} returns int language sql as 'select 1'`).join(';'),
      hash: `${version}`,
    },
  });
  await migrate(pool, set(1, 'kept()', 'old(a int)', 'changed(a int)'));
  await migrate(pool, set(2, 'kept()', 'changed(a text)'));
  const { rows } = await pool.query<{ name: string }>(
    `select oid::regprocedure::text as name from pg_proc where pronamespace = 'parley'::regnamespace order by 1`,
  );
  expect(rows.map(({ name }) => name)).toEqual(['changed(text)', 'kept()']);
});

test('a call that runs while functions are replaced still finds its helper', async () => {
  const { pool, url } = await emptyDatabase();
  const patient = patientPool(url);
  const set = (version: number, body: string): Schema => ({
    migrations: [],
    functions: { version, sql: body, hash: `${version}` },
  });
  await migrate(
    pool,
    set(
      1,
      `create or replace function helper() returns int language sql as 'select 1';
       create or replace function slow() returns int language plpgsql as
         'begin perform pg_advisory_lock(7); return helper(); end'`,
    ),
  );
  const holder = await pool.connect();
  try {
    await holder.query('select pg_advisory_lock(7)');
    const call = patient.query<{ slow: number }>('select slow()');
    await waitUntil(async () => (await waiting(pool)) === 1, { what: 'the call waits in the middle of its work' });
    const migrated = migrate(pool, set(2, `create or replace function slow() returns int language sql as 'select 2'`));
    await waitUntil(async () => (await pool.query('select from functions where version = 2')).rowCount === 1, {
      what: 'the new set is installed',
    });
    await holder.query('select pg_advisory_unlock(7)');
    expect((await call).rows).toEqual([{ slow: 1 }]);
    await migrated;
    const { rows } = await pool.query<{ name: string }>(
      `select proname as name from pg_proc where pronamespace = 'parley'::regnamespace`,
    );
    expect(rows).toEqual([{ name: 'slow' }]);
  } finally {
    holder.release(true);
  }
});

async function waiting(pool: pg.Pool): Promise<number | null> {
  const { rowCount } = await pool.query(
    `select from pg_locks where locktype = 'advisory' and not granted and objid = 7
       and database = (select oid from pg_database where datname = current_database())`,
  );
  return rowCount;
}

test('a migration that was edited after it was applied is refused', async () => {
  const { pool } = await emptyDatabase();
  await migrate(pool, schemaOf(migration(1, 'create table one (n int)')));
  await expect(migrate(pool, schemaOf(migration(1, 'create table one (n int, m int)')))).rejects.toThrow(
    'Migration 1.sql was changed after it was applied to this database. ' +
      'Restore the file of the release, and put the change into a new migration.',
  );
});

test('checksums of migrations that release 0.1.0 applied are recorded, and hold from then on', async () => {
  const { pool } = await emptyDatabase();
  const first = migration(1, 'create table one (n int)');
  await migrate(pool, schemaOf(first));
  // As release 0.1.0 left it.
  await pool.query('alter table migration drop column sha256; alter table functions drop column version');
  expect(await isMigrated(pool, schemaOf(first))).toBe(false);
  await migrate(pool, schemaOf(first));
  await expect(migrate(pool, schemaOf(migration(1, 'create table one (n bigint)')))).rejects.toThrow('was changed');
  expect(await isMigrated(pool, schemaOf(first))).toBe(true);
});

test('a column that a migration adds to conversation is saved by the deciding function without a change to it', async () => {
  const { pool } = await emptyDatabase();
  await migrate(pool, schema);
  const added = migration(9999, `alter table conversation add column added int not null default 0`);
  expect(await migrate(pool, { ...schema, migrations: [...schema.migrations, added] })).toEqual([
    '9999.sql',
    'functions',
  ]);
  await pool.query(
    `insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint)
     values ('c', 'mls', 0, 1, '{}', 'alice', '')`,
  );
  await pool.query(`do $$
    declare c conversation;
    begin
      select * into c from conversation where id = 'c';
      c.added := 7;
      c.epoch := 3;
      c.oldest_seq := 5;
      perform save_conversation(c);
    end $$`);
  const { rows } = await pool.query('select added, epoch, oldest_seq from conversation');
  expect(rows).toEqual([{ added: 7, epoch: 3, oldest_seq: 5 }]);
});

test('a decision updates the row of its conversation in place (HOT), so that no index grows with the log', async () => {
  const { pool } = await emptyDatabase();
  await migrate(pool, schema);
  const conversation = await startConversation(pool);
  const before = await updates(pool);
  // So few versions of the row fit into one page also when a snapshot of somebody else keeps them all.
  for (let i = 0; i < 10; i++) {
    await sendOne(pool, conversation, { kind: 'message', id: `m${i}`, actor: 'alice', body: 'text', epoch: 0 });
  }
  const after = await updates(pool);
  expect(after.all - before.all).toBe(10);
  expect(after.hot - before.hot).toBe(10);
});

async function updates(pool: pg.Pool): Promise<{ readonly all: number; readonly hot: number }> {
  const client = await pool.connect();
  try {
    // Statistics of the other sessions are flushed when these become idle.
    await client.query('select pg_stat_force_next_flush()');
    const { rows } = await client.query<{ all: number; hot: number }>(
      `select n_tup_upd::int as all, n_tup_hot_upd::int as hot from pg_stat_user_tables where relname = 'conversation'`,
    );
    return rows[0] ?? expect.unreachable();
  } finally {
    client.release();
  }
}

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
