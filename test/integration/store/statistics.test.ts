import { expect, onTestFinished, test } from 'vitest';
import pg from 'pg';
import { makePool } from '../../../store/pool.ts';
import { makeStatisticsReader } from '../../../store/statistics/statistics-reader.ts';
import { readSizes, readStatistics } from '../../../store/statistics/statistics.ts';
import { startTcpProxy } from '../../../tools/harness/tcp-proxy.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useDatabase } from '../../harness/database.ts';
import { startConversation } from '../../harness/requests.ts';
import { holdRows } from '../../harness/row-locks.ts';

const database = useDatabase();

async function session(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database().url });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

test('an open transaction shows with its age, and sessions that wait for its locks are counted', async () => {
  const { pool, url } = database();
  const conversation = await startConversation(pool);
  const release = await holdRows(url, [conversation]);
  onTestFinished(release);
  const waiting = await session();
  const waited = waiting.query('select from parley.conversation where id = $1 for update', [conversation]);
  await waitUntil(async () => (await readStatistics(pool)).lockWaits >= 1, { what: 'somebody waits for the lock' });
  const first = await readStatistics(pool);
  expect(first.connections.get('idle-in-transaction')).toBeGreaterThanOrEqual(1);
  expect(first.connections.get('active')).toBeGreaterThanOrEqual(1);
  expect([...first.connections.values()].reduce((sum, count) => sum + count, 0)).toBeLessThan(first.connectionsLimit);
  await waitUntil(async () => (await readStatistics(pool)).oldestTransactionMs > first.oldestTransactionMs, {
    what: 'the transaction is older',
  });
  await release();
  await waited;
});

test('what is due and what is not counted yet show with their ages', async () => {
  const { pool } = database();
  expect(await readStatistics(pool)).toMatchObject({ pendingIncrements: 0, pendingIncrementsMs: 0 });
  const conversation = await startConversation(pool);
  await pool.query(`update conversation set due_at = clock_timestamp() - interval '10 minutes' where id = $1`, [
    conversation,
  ]);
  await pool.query(
    `insert into pending_increment (key, conversation, id, user_id, amount, at)
     select 1, key, 'late', 'alice', 1, clock_timestamp() - interval '2 minutes' from conversation where id = $1`,
    [conversation],
  );
  const look = await readStatistics(pool);
  expect(look).toMatchObject({ overdue: 1, pendingIncrements: 1 });
  expect(look.overdueMs).toBeGreaterThanOrEqual(600_000);
  expect(look.pendingIncrementsMs).toBeGreaterThanOrEqual(120_000);
  expect(look.pendingIncrementsMs).toBeLessThan(look.overdueMs);
});

test('a database without its guard against a second commit in an epoch is noticed (invariant 2)', async () => {
  const { pool } = database();
  expect((await readStatistics(pool)).hasEpochGuard).toBe(true);
  const { rows } = await pool.query<{ text: string }>(
    `select pg_get_indexdef('parley.entry_commit_epoch'::regclass) as text`,
  );
  await pool.query('drop index entry_commit_epoch');
  expect((await readStatistics(pool)).hasEpochGuard).toBe(false);
  await pool.query(rows[0]?.text ?? '');
  expect((await readStatistics(pool)).hasEpochGuard).toBe(true);
});

test('counters of the server grow, and sizes are there for every table', async () => {
  const { pool } = database();
  const before = await readStatistics(pool);
  await startConversation(pool);
  await waitUntil(async () => (await readStatistics(pool)).commits > before.commits, { what: 'commits are counted' });
  expect((await readStatistics(pool)).walBytes).toBeGreaterThanOrEqual(before.walBytes);
  const sizes = await readSizes(pool);
  expect(sizes.databaseBytes).toBeGreaterThan(1_000_000);
  expect(sizes.xidAge).toBeGreaterThan(0);
  for (const table of ['conversation', 'entry', 'member']) {
    expect([table, sizes.liveRows.has(table), sizes.deadRows.has(table)]).toEqual([table, true, true]);
  }
});

test('a database that says nothing keeps no scrape waiting, and is read again when it answers', async () => {
  const { url } = database();
  const proxy = await startTcpProxy(new URL(url).host);
  onTestFinished(() => proxy.close());
  const behind = new URL(url);
  behind.host = proxy.address;
  const pool = makePool({ url: behind.href, max: 2, name: 'test' });
  pool.on('error', () => undefined);
  onTestFinished(() => pool.end());
  const errors: unknown[] = [];
  const read = makeStatisticsReader(pool, (error) => errors.push(error));
  // A busy machine may be later than the reader waits.
  await waitUntil(async () => (await read())?.hasEpochGuard === true, { what: 'it is read' });
  errors.length = 0;
  proxy.blackHole();
  await waitUntil(async () => (await read()) === undefined, { what: 'the silence is noticed' });
  expect(String(errors[0])).toContain('did not answer within');
  await proxy.heal();
  proxy.cut();
  await waitUntil(async () => (await read()) !== undefined, { what: 'it is read again' });
});
