import { expect, test } from 'vitest';
import { beginErasure, continueErasure, sweepErasures } from '../../../store/device/erasure.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { act, create } from '../../harness/inbox.ts';
import { deviceOf, newUser } from '../../harness/key-packages/devices.ts';

/** `DELETE /v1/me` always succeeds, whatever others have put on the user. */
const { database, service } = useApi();

const erase = (user: string): Promise<Answer> => service.ask('DELETE /v1/me', { user });

async function memberships(user: string): Promise<number> {
  const { rowCount } = await database().pool.query('select from member where user_id = $1 and left_seq is null', [
    user,
  ]);
  return rowCount ?? 0;
}

/** Puts a user into so many conversations, as if others had done it long ago. */
async function join(user: string, count: number): Promise<void> {
  await database().pool.query(
    `with c as (
       insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint)
       select md5($1 || n), 'mls', 0, 2, '{"lastAdmin": "refuse"}', 'mallory', '' from generate_series(1, $2::int) n
       returning key
     ), p as (
       insert into period (conversation, user_id, from_seq) select key, u, 1 from c, unnest(array[$1, 'mallory']) u
     )
     insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count)
     select key, u, case u when $1 then 'admin' else 'member' end, 0, 0, 0, 0 from c, unnest(array[$1, 'mallory']) u`,
    [user, count],
  );
}

/** Makes a user the last admin of a conversation that must keep one: somebody adds it, hands the role over, and leaves. */
async function madeLastAdmin(user: string): Promise<string> {
  const [mallory, bob] = [newUser('mallory'), newUser('bob')];
  const { id } = await create(service, mallory, [user, bob], { lastAdmin: 'refuse' });
  const path = `/v1/conversations/${id}/members`;
  for (const [what, body] of [
    [`PUT ${path}/${user}/role`, { role: 'admin' }],
    [`DELETE ${path}/${mallory}`, {}],
  ] as const) {
    expect((await service.ask(what, { user: mallory, body })).status).toBe(200);
  }
  return id;
}

async function admins(id: string): Promise<string[]> {
  const { rows } = await database().pool.query<{ user: string }>(
    `select m.user_id as user from member m join conversation c on c.key = m.conversation
     where c.id = $1 and m.role = 'admin' and m.left_seq is null`,
    [id],
  );
  return rows.map(({ user }) => user);
}

test('one who was made the last admin may leave, and who has acted may not', async () => {
  const [victim, admin] = [newUser('victim'), newUser('admin')];
  const [id, other] = [await madeLastAdmin(victim), await madeLastAdmin(admin)];
  await act(database().pool, other, admin);
  const leave = (conversation: string, user: string): Promise<Answer> =>
    service.ask(`DELETE /v1/conversations/${conversation}/members/${user}`, { user, body: {} });
  expect((await leave(id, victim)).status).toBe(200);
  expect(await admins(id)).toEqual([expect.stringMatching(/^bob/)]);
  expect((await leave(other, admin)).body.code).toBe('not-allowed');
});

test('the last admin of a conversation that must keep one is erased, and another member becomes admin', async () => {
  const victim = newUser('victim');
  const made = await madeLastAdmin(victim);
  const bob = newUser('bob');
  const own = await create(service, victim, [bob], { lastAdmin: 'refuse' });
  await act(database().pool, own.id, victim);
  expect((await erase(victim)).status).toBe(204);
  expect(await memberships(victim)).toBe(0);
  expect(await admins(own.id)).toEqual([bob]);
  expect(await admins(made)).toHaveLength(1);
});

test('superseded conversations, pending joins and a broken conversation do not keep a user', async () => {
  const { pool } = database();
  const [victim, mallory] = [newUser('victim'), newUser('mallory')];
  const old = await create(service, mallory, [victim]);
  const body = { successor: `${old.id}ab` };
  expect((await service.ask(`POST /v1/conversations/${old.id}/reset`, { user: mallory, body })).status).toBe(201);
  const pending = await create(service, mallory, [victim]);
  await pool.query(
    `update member m set awaited = true from conversation c where c.key = m.conversation and c.id = $1 and user_id = $2`,
    [pending.id, victim],
  );
  const broken = await create(service, mallory, [victim]);
  await pool.query(`update conversation set policy = '{"abandonedDays": "soon"}', member_count = 1 where id = $1`, [
    broken.id,
  ]);
  const phone = await deviceOf(service, victim);
  await phone.stock(2);
  expect((await erase(victim)).status).toBe(204);
  expect(await memberships(victim)).toBe(1);
  expect((await phone.ask('GET /v1/key-packages')).body).toMatchObject({ available: 0 });

  // The sweep goes on until that one is left too.
  const soon = (): Promise<unknown> => pool.query(`update erasure set tried_at = null where user_id = $1`, [victim]);
  await soon();
  expect(await sweepErasures(pool)).toBe(0);
  await pool.query(`update conversation set policy = '{}', member_count = 2 where id = $1`, [broken.id]);
  await soon();
  expect(await sweepErasures(pool)).toBe(1);
  expect(await memberships(victim)).toBe(0);
  expect((await pool.query('select from erasure where user_id = $1', [victim])).rowCount).toBe(0);
});

test('a user with thousands of memberships is erased by one request', async () => {
  const victim = newUser('victim');
  await join(victim, 3000);
  expect((await erase(victim)).status).toBe(204);
  // Where the machine is slow the sweep does the rest.
  await waitUntil(
    async () => {
      await database().pool.query(`update erasure set tried_at = null where user_id = $1`, [victim]);
      await sweepErasures(database().pool);
      return (await memberships(victim)) === 0;
    },
    { what: 'no membership is left', timeoutMs: 60_000 },
  );
});

test('an erasure that ends early goes on where it was, and leaves alone what the user joined after it', async () => {
  const { pool } = database();
  const victim = newUser('victim');
  await join(victim, 7);
  const erasure = await beginErasure(pool, victim);
  const later = await create(service, newUser('bob'), [victim]);
  const run = { until: Infinity, limit: 3 };
  expect(await continueErasure(pool, erasure, run)).toBe(3);
  expect(await continueErasure(pool, erasure, { until: 0, limit: 3 })).toBe(0);
  expect(await memberships(victim)).toBe(5);
  await pool.query(`update erasure set tried_at = null where user_id = $1`, [victim]);
  expect(await sweepErasures(pool)).toBe(4);
  expect((await service.ask(`GET /v1/conversations/${later.id}`, { user: victim })).body).toMatchObject({
    role: 'member',
  });
  expect((await pool.query('select from erasure where user_id = $1', [victim])).rowCount).toBe(0);
});

test('consent, requests and invitations go with the user; those whom others refused stay refused', async () => {
  const { pool } = database();
  const [alice, friend, strict] = [newUser('alice'), newUser('friend'), newUser('strict')];
  for (const user of [alice, strict]) await service.ask('PUT /v1/consent', { user, body: { mode: 'nobody' } });
  await create(service, friend, [alice]);
  await create(service, alice, [strict]);
  await create(service, alice, [newUser('bob')]);
  const refusal = { user: strict, body: { accept: false } };
  expect((await service.ask(`POST /v1/consent/requests/${alice}`, refusal)).status).toBe(204);
  expect((await erase(alice)).status).toBe(204);
  const left = async (table: string, column: string): Promise<number | null> =>
    (await pool.query(`select from ${table} where ${column} = $1`, [alice])).rowCount;
  expect([await left('consent', 'user_id'), await left('consent_request', 'user_id')]).toEqual([0, 0]);
  expect([await left('consent_request', 'asker'), await left('invitation', 'user_id')]).toEqual([1, 0]);
  expect((await create(service, alice, [strict])).answer.body.code).toBe('consent-required');
});

test('a reset meanwhile puts nobody who is being erased into the successor', async () => {
  const { pool } = database();
  const [victim, mallory, bob] = [newUser('victim'), newUser('mallory'), newUser('bob')];
  const old = await create(service, mallory, [victim, bob]);
  const erasure = await beginErasure(pool, victim);
  const body = { successor: `${old.id}ab` };
  expect((await service.ask(`POST /v1/conversations/${old.id}/reset`, { user: mallory, body })).status).toBe(201);
  const view = await service.ask(`GET /v1/conversations/${body.successor}`, { user: bob });
  expect(view.body).toMatchObject({ memberCount: 2 });
  await continueErasure(pool, erasure, { until: Infinity, limit: 10 });
  expect(await memberships(victim)).toBe(0);
  expect((await pool.query('select from erasure where user_id = $1', [victim])).rowCount).toBe(0);
});

test('a successor that a reset makes while its predecessor is being left is left too', async () => {
  const { pool } = database();
  const [victim, mallory] = [newUser('victim'), newUser('mallory')];
  const old = await create(service, mallory, [victim]);
  const successor = `${old.id}ab`;
  // The reset began before the erasure, and ends while the erasure waits for it.
  const client = await pool.connect();
  await client.query('begin');
  const reset = [{ kind: 'reset', id: 'a reset', actor: mallory, successor, size: 1 }];
  await client.query('select decide($1, $2)', [old.id, JSON.stringify(reset)]);
  const erasing = beginErasure(pool, victim).then((erasure) =>
    continueErasure(pool, erasure, { until: Infinity, limit: 10 }),
  );
  await waitUntil(async () => (await pool.query(WAITING)).rowCount === 1, { what: 'the erasure waits' });
  await client.query('commit');
  client.release();
  expect(await erasing).toBe(2);
  expect(await memberships(victim)).toBe(0);
});

/** Statements that wait for a row. */
const WAITING = `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%decide_waiting(%' and datname = current_database()`;
