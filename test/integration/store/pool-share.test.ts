import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makePool } from '../../../store/pool.ts';
import { forUser, shareOf, shareOut } from '../../../store/pool-share.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useDatabase } from '../../harness/database.ts';

const database = useDatabase();
let raw: pg.Pool;
let pool: pg.Pool;
beforeAll(() => {
  raw = makePool({ url: database().url, max: 8, name: 'shared', statementTimeoutMs: 30_000 });
  pool = shareOut(raw);
});
afterAll(() => raw.end());

const LATER = Number.MAX_SAFE_INTEGER;

/** Statements that end when the gate opens. */
async function blocked(
  count: number,
  user: string | undefined,
  deadline = LATER,
): Promise<{ open: () => Promise<void>; all: Promise<unknown>[] }> {
  const holder = await database().pool.connect();
  await holder.query('select pg_advisory_lock(1)');
  const wait = (): Promise<unknown> => pool.query('select pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1)');
  const all = Array.from({ length: count }, () => (user === undefined ? wait() : forUser({ user, deadline }, wait)));
  return {
    all,
    open: async () => {
      await holder.query('select pg_advisory_unlock(1)');
      holder.release();
    },
  };
}

async function countBlocked(): Promise<number> {
  const { rows } = await database().pool.query<{ count: number }>(
    `select count(*)::int as count from pg_stat_activity where application_name = 'shared' and datname = current_database()
       and wait_event_type = 'Lock'`,
  );
  return rows[0]?.count ?? 0;
}

test('one user gets a quarter of the connections, and the statements of others pass those that wait', async () => {
  expect(shareOf(raw)).toBe(2);
  const { all, open } = await blocked(20, 'mallory');
  await waitUntil(async () => (await countBlocked()) === 2, { what: 'two statements run' });
  for (const user of ['alice', 'bob', 'carol']) {
    const { rows } = await forUser({ user, deadline: LATER }, () => pool.query<{ one: number }>('select 1 as one'));
    expect(rows).toEqual([{ one: 1 }]);
  }
  expect([await countBlocked(), raw.totalCount <= 8, raw.waitingCount]).toEqual([2, true, 0]);
  await open();
  await Promise.all(all);
  expect(await forUser({ user: 'mallory', deadline: LATER }, () => pool.query('select 1'))).toMatchObject({
    rowCount: 1,
  });
});

test('work for nobody has no share, and counts for nobody', async () => {
  const { all, open } = await blocked(6, undefined);
  await waitUntil(async () => (await countBlocked()) === 6, { what: 'six statements run' });
  await forUser({ user: 'alice', deadline: LATER }, () => pool.query('select 1'));
  await open();
  await Promise.all(all);
});

test('a statement that still waits at its deadline is not run', async () => {
  const { all, open } = await blocked(2, 'mallory');
  await waitUntil(async () => (await countBlocked()) === 2, { what: 'two statements run' });
  const ran: string[] = [];
  const late = forUser({ user: 'mallory', deadline: 1 }, () => pool.query('select 1').then(() => ran.push('late')));
  const inTime = forUser({ user: 'mallory', deadline: LATER }, () =>
    pool.query('select 1').then(() => ran.push('in time')),
  );
  const refused = expect(late).rejects.toMatchObject({ code: 'deadline' });
  await open();
  await Promise.all([...all, inTime, refused]);
  expect(ran).toEqual(['in time']);
});

test('a statement that fails gives its place to the next', async () => {
  const failing = Array.from({ length: 10 }, () =>
    forUser({ user: 'mallory', deadline: LATER }, () => pool.query('select 1 / 0')),
  );
  const settled = await Promise.allSettled(failing);
  expect(settled.every(({ status }) => status === 'rejected')).toBe(true);
  await forUser({ user: 'mallory', deadline: LATER }, () => pool.query('select 1'));
});
