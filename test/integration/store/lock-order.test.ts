import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { beforeEach, expect, test } from 'vitest';
import { touchDevices } from '../../../store/device/devices.ts';
import { beginOffBoarding } from '../../../store/off-boarding/off-boardings.ts';
import { recordDeliveries } from '../../../store/push/deliveries.ts';
import { recordStreams } from '../../../store/push/open-streams.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useDatabase } from '../../harness/database.ts';
import { patientPool } from '../../harness/patient-pool.ts';
import { registerDevice } from '../../harness/push.ts';

/** Rows of several users are locked in one order, so nobody waits for one who waits for him (docs/explanation/locks.md). */
const database = useDatabase();
const USER = 'bob';
/** In the order of their keys. */
const DEVICES = ['a', 'b', 'c'] as const;

beforeEach(async () => {
  await database().pool.query('delete from push_target');
  for (const device of DEVICES) await registerDevice(database().pool, { user: USER, device });
});

/**
 * Runs statements that meet: a session holds a row that all of them come to, until all wait.
 * @param held rows, as in `select from`
 */
async function meet(held: string, ...statements: readonly ((patient: pg.Pool) => Promise<unknown>)[]): Promise<void> {
  const { pool, url } = database();
  const patient = patientPool(url);
  const waiting = async (): Promise<number> => {
    const { rows } = await pool.query<{ count: number }>(
      `select count(*)::int as count from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rows[0]?.count ?? 0;
  };
  const holder = await pool.connect();
  const running: Promise<unknown>[] = [];
  try {
    await holder.query(`begin; select from ${held} for update`);
    for (const statement of statements) {
      running.push(statement(patient));
      await waitUntil(async () => (await waiting()) === running.length, { what: `${running.length} wait` });
    }
  } finally {
    await holder.query('rollback');
    holder.release();
  }
  const ends = await Promise.allSettled(running);
  expect(ends.filter(({ status }) => status === 'rejected')).toEqual([]);
}

test('two devices of a user register at the same moment', async () => {
  await meet(
    `push_target where device_id = 'c'`,
    (patient) => registerDevice(patient, { user: USER, device: 'a' }),
    (patient) => registerDevice(patient, { user: USER, device: 'b' }),
  );
});

const streams = (...devices: readonly string[]): { user: string; device: string; id: string }[] =>
  devices.map((device) => ({ user: USER, device, id: streamOf(device) }));
const streamOf = (device: string): string => `00000000-0000-4000-8000-00000000000${device}`;

test('deliveries are recorded while streams of the same devices open', async () => {
  const { pool } = database();
  const { rows } = await pool.query<{ key: string; id: string; device: string }>(
    `update push_target set wake_id = $1, due_at = now() returning key, wake_id as id, device_id as device`,
    [randomUUID()],
  );
  const deliveries = ['b', 'c', 'a'].map((device) => {
    const { key, id } = rows.find((row) => row.device === device) ?? expect.unreachable();
    return { key: Number(key), id, state: 'sent' } as const;
  });
  await meet(
    `push_target where device_id = 'c'`,
    (patient) => recordDeliveries(patient, deliveries),
    (patient) => recordStreams(patient, streams('a', 'c', 'b'), []),
  );
  const { rows: targets } = await pool.query('select due_at, stream_id from push_target order by key');
  expect(targets).toEqual(DEVICES.map((device) => ({ due_at: null, stream_id: streamOf(device) })));
});

test('streams of the same devices close here and open there', async () => {
  const { pool } = database();
  await recordStreams(pool, streams(...DEVICES), []);
  await meet(
    `push_target where device_id = 'c'`,
    (patient) => recordStreams(patient, [], streams('b', 'c', 'a')),
    (patient) => recordStreams(patient, streams('a', 'c', 'b'), []),
  );
  const { rows } = await pool.query('select stream_id from push_target order by key');
  expect(rows).toEqual(DEVICES.map((device) => ({ stream_id: streamOf(device) })));
});

test('a user is cut off while a commit uses key packages of its devices', async () => {
  const { pool } = database();
  const user = 'carol';
  await touchDevices(pool, [
    { user, device: 'a' },
    { user, device: 'b' },
  ]);
  await pool.query(
    `insert into key_package (ref, user_id, device_id, cipher_suite, key_package, last_resort, not_after)
     select decode(p.ref, 'hex'), $1, p.device, 1, '', false, now() + interval '1 day'
     from (values ('01', 'b'), ('02', 'a'), ('03', 'a')) p (ref, device)`,
    [user],
  );
  await meet(
    `key_package where ref = '\\x03'`,
    (patient) => beginOffBoarding(patient, { user, device: '', actor: 'root' }, 'account-closed'),
    // As key_package_refs_refusal() does.
    (patient) => patient.query('select from key_package where user_id = $1 order by ref for no key update', [user]),
  );
});
