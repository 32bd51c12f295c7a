import path from 'node:path';
import type pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { startPostgres, type Postgres } from '../../../local/postgres.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { decide } from '../../../store/decision/decide.ts';
import { readPage } from '../../../store/log/entries.ts';
import { migrate, readSchema } from '../../../store/migrate.ts';
import { makePool } from '../../../store/pool.ts';
import { makeSweep } from '../../../store/retention/sweep.ts';
import { type StageRow, stage } from '../../../store/staging/stage.ts';
import { testFolder } from '../../harness/folder.ts';
import { useDatabase } from '../../harness/database.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { type Request, byReference, inline, sendOne, stageRow, startConversation } from '../../harness/requests.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

const database = useDatabase();

afterEach(() => database().pool.query('delete from staged'));

const message: Extract<Request, { kind: 'message' }> = {
  kind: 'message',
  id: 'm',
  actor: 'bob',
  body: 'text',
  epoch: 0,
};

function row(conversation: string, user: string, bytes = 10): StageRow {
  return { conversation, user, epoch: 0, ciphertext: Buffer.alloc(bytes) };
}

/** Stages the message; returns the operation that refers to it. */
async function stageMessage(pool: pg.Pool, conversation: string): Promise<ReturnType<typeof byReference>> {
  const staged = stageRow(conversation, message);
  const [key] = staged === undefined ? [] : await stage(pool, [staged]);
  const [operation] = inline([message]).operations;
  if (typeof key !== 'number' || operation === undefined) throw new Error('The message was not staged');
  return byReference(operation, key);
}

test('bytes of members are taken, of any conversations at once; those of others are not', async () => {
  const { pool } = database();
  const [one, two, gone] = [
    await startConversation(pool),
    await startConversation(pool),
    await startConversation(pool),
  ];
  await sendOne(pool, two, { kind: 'leave', id: 'l', actor: 'bob' });
  await sendOne(pool, gone, { kind: 'delete', id: 'd', actor: 'alice' });
  const keys = await stage(pool, [
    row(one, 'alice'),
    row(one, 'mallory'),
    row(two, 'bob'),
    row(two, 'carol'),
    row('no-such', 'alice'),
    row(gone, 'alice'),
    row(one, 'alice'),
  ]);
  const no = 'not-a-member';
  expect(keys).toEqual([expect.any(Number), no, no, expect.any(Number), no, no, expect.any(Number)]);
  expect(new Set(keys).size).toBe(4);
  expect((await pool.query('select from staged')).rowCount).toBe(3);
});

test('a user whose undecided bytes reach the quota waits, and others do not', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const stageWithin = async (users: readonly string[], quota: number): Promise<unknown[]> => {
    const { rows } = await pool.query<{ taken: boolean }>(
      `select key is not null as taken from stage(
         array_fill($1::text, array[$4::int]), $2, array_fill(0::bigint, array[$4::int]), array_fill($3::bytea, array[$4::int]),
         array_fill(null::bytea, array[$4::int]), array_fill(null::bytea, array[$4::int]), array_fill(null::jsonb, array[$4::int]), $5)
       order by n`,
      [conversation, users, Buffer.alloc(100), users.length, quota],
    );
    return rows.map(({ taken }) => taken);
  };
  expect(await stageWithin(['alice', 'bob', 'alice'], 150)).toEqual([true, true, true]);
  expect(await stageWithin(['alice', 'bob'], 150)).toEqual([false, true]);
  expect(await stageWithin(['alice', 'bob', 'carol'], 150)).toEqual([false, false, true]);
  await pool.query(`delete from staged where user_id = 'alice'`);
  expect(await stageWithin(['alice'], 150)).toEqual([true]);
});

test('staged bytes are bound to their conversation', async () => {
  const { pool } = database();
  const [mine, other] = [await startConversation(pool), await startConversation(pool)];
  const operation = await stageMessage(pool, mine);
  expect((await decide(pool, other, [operation])).outcomes).toEqual([{ status: 'refused', code: 'body-missing' }]);
  expect((await decide(pool, mine, [operation])).outcomes).toMatchObject([{ status: 'accepted', seq: 1, epoch: 0 }]);
});

test('a decision consumes the staged bytes, whatever it says', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const operations = [await stageMessage(pool, conversation), await stageMessage(pool, conversation)];
  const late = { ...(await stageMessage(pool, conversation)), id: 'late', notAfter: 1 };
  const { outcomes } = await decide(pool, conversation, [...operations, late]);
  expect(outcomes).toMatchObject([{ status: 'accepted' }, { status: 'duplicate', seq: 1 }, { code: 'deadline' }]);
  expect((await pool.query('select from staged')).rowCount).toBe(0);
});

test('the sweep takes orphans of any conversation, and nothing that is young', async () => {
  const { pool } = database();
  const conversations = [await startConversation(pool), await startConversation(pool)];
  for (const conversation of conversations) await stage(pool, [row(conversation, 'alice'), row(conversation, 'bob')]);
  await pool.query(`update staged set at = at - interval '1 hour' where user_id = 'alice'`);
  const ages = { stagedMs: 1_800_000, operationsMs: 1_800_000, idempotencyMs: 1_800_000 };
  expect(await makeSweep(pool, ages)()).toMatchObject({ staged: 2 });
  const { rows } = await pool.query('select user_id from staged');
  expect(rows).toEqual([{ user_id: 'bob' }, { user_id: 'bob' }]);
});

test('a sweep that comes while bytes are decided leaves them, and finds nothing afterwards (invariant 3)', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const operation = await stageMessage(pool, conversation);
  const sweep = makeSweep(pool, { stagedMs: -60_000, operationsMs: 60_000, idempotencyMs: 60_000 });
  const holder = await pool.connect();
  try {
    await holder.query('begin');
    await holder.query('select decide($1, $2)', [conversation, JSON.stringify([operation])]);
    expect((await sweep()).staged).toBe(0);
    await holder.query('commit');
  } finally {
    await holder.query('rollback').finally(() => holder.release());
  }
  expect((await sweep()).staged).toBe(0);
  const page = await readPage(pool, conversation, 'alice', 0, 10);
  expect(page?.entries.map(({ ciphertext }) => String(ciphertext))).toEqual(['text']);
  await checkInvariants(pool, conversation);
});

test('a decision that comes while bytes are swept waits, and asks for them again (invariant 3)', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const operation = await stageMessage(pool, conversation);
  const decision = await whileHeld(
    (holder) =>
      holder.query(
        `select sweep_staged(key, clock_timestamp() + interval '1 minute') from conversation where id = $1`,
        [conversation],
      ),
    () => decide(pool, conversation, [operation]),
  );
  expect(decision).toMatchObject({
    facts: { lastSeq: 0 },
    outcomes: [{ status: 'refused', code: 'body-missing' }],
  });
  const again = await stageMessage(pool, conversation);
  expect((await decide(pool, conversation, [again])).outcomes).toMatchObject([{ status: 'accepted', seq: 1 }]);
});

test('invariant 3: bytes staged by an asynchronous commit outlive a crash once their decision is acknowledged', async () => {
  const folder = testFolder();
  // A write-ahead log that nobody writes but the deciding commits; a killed process loses what is not written, so it
  // needs no flush to the disk.
  const flags = ['wal_writer_delay=10s', 'wal_writer_flush_after=1GB', 'synchronous_commit=on', 'fsync=off'];
  const start = (port?: number): Promise<Postgres> =>
    startPostgres({
      dataDir: path.join(folder, 'postgres'),
      say: () => undefined,
      durable: false,
      flags: flags.flatMap((flag) => ['-c', flag]),
      ...(port === undefined ? {} : { port }),
    });
  let server = await start();
  try {
    const pool = makePool({ url: server.url(), max: 4, name: 'decides' });
    pool.on('error', () => undefined);
    await migrate(pool, await readSchema(path.join(packageRoot(), 'store')));
    const session = await pool.connect();
    session.on('error', () => undefined);
    await session.query('set synchronous_commit = off');
    const lazy = session as unknown as pg.Pool;
    const conversation = await startConversation(pool);
    for (let i = 0; i < 20; i++) {
      const operation = { ...(await stageMessage(lazy, conversation)), id: `m${i}` };
      expect((await decide(pool, conversation, [operation])).outcomes).toMatchObject([{ status: 'accepted' }]);
    }
    const undecided = { ...(await stageMessage(lazy, conversation)), id: 'undecided' };
    await server.kill9();
    session.release(true);
    await pool.end();

    server = await start(server.port);
    const after = makePool({ url: server.url(), max: 2, name: 'after' });
    const page = await readPage(after, conversation, 'alice', 0, 100);
    expect(page?.entries.map(({ ciphertext }) => String(ciphertext))).toEqual(Array.from({ length: 20 }, () => 'text'));
    await checkInvariants(after, conversation);
    // The test bites: what only the asynchronous commit wrote is gone, and asked for again.
    expect((await decide(after, conversation, [undecided])).outcomes).toMatchObject([{ code: 'body-missing' }]);
    await after.end();
  } finally {
    await server.kill9();
  }
});

/** Runs something in an open transaction, starts something else that must wait for it, and then commits. */
async function whileHeld<T>(
  inTransaction: (holder: pg.PoolClient) => Promise<unknown>,
  waiter: () => Promise<T>,
): Promise<T> {
  const { pool } = database();
  const holder = await pool.connect();
  try {
    await holder.query('begin');
    await inTransaction(holder);
    const result = waiter();
    await waitUntil(
      async () =>
        (
          await pool.query(
            `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          )
        ).rowCount === 1,
      { what: 'the other one waits', everyMs: 5 },
    );
    await holder.query('commit');
    return await result;
  } finally {
    await holder.query('rollback').finally(() => holder.release());
  }
}
