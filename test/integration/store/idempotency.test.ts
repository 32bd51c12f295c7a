import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { acquireLease, releaseLease, rememberAnswer } from '../../../store/request/idempotency.ts';
import { readClock, readSetting, writeSetting } from '../../../store/settings.ts';
import { useDatabase } from '../../harness/database.ts';
import { sha256 } from '../../harness/requests.ts';

const database = useDatabase();
const request = sha256('request');

test('of many that bring a key at once one gets it, and the others hear that it runs', async () => {
  const { pool } = database();
  const scope = randomBytes(32);
  const leases = await Promise.all(Array.from({ length: 8 }, () => acquireLease(pool, scope, request, 60_000)));
  expect(leases.map(({ state }) => state).sort()).toEqual(['mine', ...Array.from({ length: 7 }, () => 'running')]);
});

test('a key with its answer gives that answer, and refuses another request', async () => {
  const { pool } = database();
  const scope = randomBytes(32);
  await acquireLease(pool, scope, request, 60_000);
  await rememberAnswer(pool, scope, 201, { id: 'x' });
  expect(await acquireLease(pool, scope, request, 60_000)).toEqual({
    state: 'answered',
    status: 201,
    answer: { id: 'x' },
  });
  expect(await acquireLease(pool, scope, sha256('another'), 60_000)).toEqual({ state: 'other-request' });
});

test('a key that is given back is free, but its answer is not taken away', async () => {
  const { pool } = database();
  const scope = randomBytes(32);
  await acquireLease(pool, scope, request, 60_000);
  await releaseLease(pool, scope);
  expect(await acquireLease(pool, scope, sha256('another'), 60_000)).toEqual({ state: 'mine' });
  await rememberAnswer(pool, scope, 200, null);
  await releaseLease(pool, scope);
  expect(await acquireLease(pool, scope, sha256('another'), 60_000)).toMatchObject({ state: 'answered' });
});

test('a claim whose process died is taken over after its lease, by one, and only for the same request', async () => {
  const { pool } = database();
  const scope = randomBytes(32);
  await acquireLease(pool, scope, request, -1);
  expect(await acquireLease(pool, scope, sha256('another'), 60_000)).toEqual({ state: 'other-request' });
  const leases = await Promise.all(Array.from({ length: 5 }, () => acquireLease(pool, scope, request, 60_000)));
  expect(leases.filter(({ state }) => state === 'mine')).toHaveLength(1);
});

test('a setting is unknown until it is written, and the last value stands', async () => {
  const { pool } = database();
  expect((await readSetting(pool, 'path')).value).toBeUndefined();
  await writeSetting(pool, 'path', { path: 'direct', rollout: 10 });
  await writeSetting(pool, 'path', { path: 'auto', rollout: 100 });
  expect((await readSetting(pool, 'path')).value).toEqual({ path: 'auto', rollout: 100 });
});

test('with each setting comes the clock of the database, in milliseconds since 1970', async () => {
  const { pool } = database();
  const clock = async (): Promise<number> => {
    const { rows } = await pool.query<{ at: Date }>('select clock_timestamp() as at');
    return rows[0]?.at.getTime() ?? 0;
  };
  for (const read of [() => readSetting(pool, 'path'), () => readClock(pool)]) {
    const before = await clock();
    const { databaseMs } = await read();
    // Dates have whole milliseconds.
    expect(databaseMs).toBeGreaterThanOrEqual(before);
    expect(databaseMs).toBeLessThanOrEqual((await clock()) + 1);
  }
});
