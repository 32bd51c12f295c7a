import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { uploadKeyPackages } from '../../../store/key-package/key-packages.ts';
import { makeSweep } from '../../../store/retention/sweep.ts';
import { newKeyPackage } from '../../harness/key-packages/packages.ts';
import { useDatabase } from '../../harness/database.ts';
import { send, startConversation } from '../../harness/requests.ts';

const database = useDatabase();
const DAY_MS = 86_400_000;
const AGES = { stagedMs: DAY_MS, operationsMs: DAY_MS, idempotencyMs: DAY_MS };
const NOTHING = {
  staged: 0,
  increments: 0,
  operations: 0,
  idempotency: 0,
  keyPackages: 0,
  races: 0,
  audit: 0,
  devices: 0,
  welcomeBodies: 0,
  consentRequests: 0,
  invitations: 0,
  streamTickets: 0,
  erasures: 0,
  evictedWelcomes: 0,
  groupClaims: 0,
};

test('the sweep forgets old answers and keys, and leaves young ones', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  await send(pool, conversation, [
    { kind: 'read', id: 'old', actor: 'alice' },
    { kind: 'read', id: 'young', actor: 'alice' },
  ]);
  await pool.query(`update operation set at = at - interval '2 days' where id = 'old'`);
  await pool.query(
    `insert into idempotency (scope, request, lease_until, at) values ('\\x01', '', now(), now() - interval '2 days'),
     ('\\x02', '', now(), now())`,
  );
  expect(await makeSweep(pool, AGES)()).toEqual({ ...NOTHING, operations: 1, idempotency: 1 });
  expect((await pool.query(`select from operation where id = 'young'`)).rowCount).toBe(1);
});

test('tickets go when they are good for nothing any more', async () => {
  const { pool } = database();
  await pool.query(
    `insert into stream_ticket (hash, user_id, device_id, conversation, token_expires_at, expires_at) values
     ('\\x01', 'alice', 'phone', '', now() + interval '1 hour', now() - interval '1 second'),
     ('\\x02', 'alice', 'phone', '', now() + interval '1 hour', now() + interval '29 seconds')`,
  );
  expect(await makeSweep(pool, AGES)()).toEqual({ ...NOTHING, streamTickets: 1 });
  expect((await pool.query(`select encode(hash, 'hex') as hash from stream_ticket`)).rows).toEqual([{ hash: '02' }]);
});

test('lost races go after a day and the audit after 400, the younger ones stay', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  await pool.query(
    `insert into race (conversation, user_id, lost_at)
     select key, u, now() - make_interval(hours => h)
     from conversation, (values ('alice', 25), ('bob', 23)) x (u, h) where id = $1`,
    [conversation],
  );
  await pool.query(
    `insert into audit (actor, action, at)
     select 'alice', a, now() - make_interval(days => d) from (values ('old', 401), ('young', 399)) x (a, d)`,
  );
  expect(await makeSweep(pool, AGES)()).toEqual({ ...NOTHING, races: 1, audit: 1 });
  expect((await pool.query('select user_id from race')).rows).toEqual([{ user_id: 'bob' }]);
  expect((await pool.query('select action from audit')).rows).toEqual([{ action: 'young' }]);
});

test('key packages go a day after they expired, and with them who claimed them', async () => {
  const { pool } = database();
  for (const days of [2, 0.5, -1]) {
    const ref = randomBytes(32);
    const notAfter = new Date(Date.now() - days * DAY_MS);
    await uploadKeyPackages(pool, { user: 'alice', device: 'phone' }, [newKeyPackage({ ref, notAfter })], false);
    await pool.query(`insert into claim (ref, user_id, at) values ($1, 'bob', now() - interval '3 days')`, [ref]);
  }
  expect(await makeSweep(pool, AGES)()).toEqual({ ...NOTHING, keyPackages: 1 });
  expect((await pool.query('select from claim')).rowCount).toBe(2);
});

test('a device that was not seen for 400 days is forgotten, unless something of it is there', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const device = (name: string, days: number): Promise<unknown> =>
    pool.query(
      `insert into device (user_id, device_id, seen_at) values ('erin', $1, now() - make_interval(days => $2))`,
      [name, days],
    );
  await device('gone', 401);
  await device('quiet', 399);
  await device('reader', 401);
  await pool.query(
    `insert into device_position (user_id, device_id, conversation, seq)
     select 'erin', 'reader', key, 1 from conversation where id = $1`,
    [conversation],
  );
  await device('invited', 401);
  await pool.query(
    `with body as (insert into welcome_body (conversation, seq, welcome) select key, 1, '' from conversation where id = $1)
     insert into welcome (conversation, user_id, device_id, seq, epoch)
     select key, 'erin', 'invited', 1, 1 from conversation where id = $1`,
    [conversation],
  );
  for (const lastResort of [true, false]) {
    const name = `stock-${lastResort}`;
    await uploadKeyPackages(pool, { user: 'erin', device: name }, [newKeyPackage({ lastResort })], false);
    await pool.query(`update device set seen_at = now() - interval '401 days' where device_id = $1`, [name]);
  }
  expect(await makeSweep(pool, AGES)()).toMatchObject({ devices: 1 });
  const { rows } = await pool.query<{ device: string }>(
    `select device_id as device from device where user_id = 'erin' order by device_id`,
  );
  expect(rows.map((row) => row.device)).toEqual(['invited', 'quiet', 'reader', 'stock-false', 'stock-true']);
});

test('a run looks at a bounded part of the devices and Welcomes, the next one goes on, and after the end it begins again', async () => {
  const { pool } = database();
  await pool.query(
    `insert into device (user_id, device_id, seen_at)
     select 'f' || lpad(n::text, 5, '0'), 'phone', now() - interval '500 days' from generate_series(1, 2500) n`,
  );
  await pool.query(
    `with c as (insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint)
       values ('bodies', 'opaque', 0, 0, '{}', '', '') returning key)
     insert into welcome_body (conversation, seq, welcome) select key, n, '' from c, generate_series(1, 1500) n`,
  );
  const sweep = makeSweep(pool, AGES);
  const runs: number[][] = [];
  for (let i = 0; i < 4; i++) {
    const { devices = 0, welcomeBodies = 0 } = await sweep();
    runs.push([devices, welcomeBodies]);
  }
  expect(runs.every(([devices = 0, bodies = 0]) => devices <= 1000 && bodies <= 1000)).toBe(true);
  expect((await pool.query(`select from device where seen_at < now() - interval '450 days'`)).rowCount).toBe(0);
  expect((await pool.query(`select from welcome_body where seq > 1`)).rowCount).toBe(0);
  await pool.query(
    `insert into device (user_id, device_id, seen_at) values ('a', 'phone', now() - interval '500 days')`,
  );
  const again: number[] = [];
  for (let i = 0; i < 2; i++) again.push((await sweep()).devices ?? 0);
  expect(again.reduce((sum, n) => sum + n)).toBe(1);
});
