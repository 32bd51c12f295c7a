import type pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { blockersOf } from '../../../store/supervision/blockers.ts';
import { spend } from '../../../tools/harness/wait-until.ts';
import { useDatabase } from '../../harness/database.ts';
import { startConversation } from '../../harness/requests.ts';

const database = useDatabase();

/** A session that holds the row. @returns its process id in the database */
async function hold(conversation: string, lock: 'for update' | 'for share'): Promise<number> {
  const client: pg.PoolClient = await database().pool.connect();
  onTestFinished(async () => {
    await client.query('rollback');
    client.release();
  });
  await client.query('begin');
  await client.query(`select from conversation where id = $1 ${lock}`, [conversation]);
  return (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0;
}

const blockers = async (conversation: string): Promise<number[]> =>
  (await blockersOf(database().pool, conversation)).map(({ pid }) => pid);

test('a row that nobody holds has no blocker', async () => {
  expect(await blockers(await startConversation(database().pool, { protocol: 'opaque' }))).toEqual([]);
});

test('the session that holds a row is found', async () => {
  const id = await startConversation(database().pool, { protocol: 'opaque' });
  const holder = await hold(id, 'for update');
  expect(await blockers(id)).toEqual([holder]);
});

test('of several sessions that share a row one is found, though the row names none of them', async () => {
  const id = await startConversation(database().pool, { protocol: 'opaque' });
  const holders = [await hold(id, 'for share'), await hold(id, 'for share')];
  const found = await blockers(id);
  expect(found.length).toBeGreaterThan(0);
  expect(holders).toEqual(expect.arrayContaining(found));
});

test('one of them is found also by a server that is so busy that it looks when the first wait has ended', async () => {
  const { pool } = database();
  const id = await startConversation(pool, { protocol: 'opaque' });
  const holders = [await hold(id, 'for share'), await hold(id, 'for share')];
  let looks = 0;
  const query = async (config: pg.QueryConfig): Promise<unknown> => {
    // The first look finds that the row names nobody. The second one should see who waits for whom.
    if (config.name === 'list-row-locks' && ++looks === 2) await spend(1000);
    return pool.query(config);
  };
  const busy = Object.assign(Object.create(pool) as pg.Pool, { query: query as never });
  const found = (await blockersOf(busy, id)).map(({ pid }) => pid);
  expect(found.length).toBeGreaterThan(0);
  expect(holders).toEqual(expect.arrayContaining(found));
});
