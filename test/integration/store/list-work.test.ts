import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RequestJson } from '../../../store/decision/inline-operation.ts';
import { claimForUsers } from '../../../store/key-package/group-claims.ts';
import { makePool } from '../../../store/pool.ts';
import { acknowledgeWelcome } from '../../../store/welcome/welcomes.ts';
import { useDatabase } from '../../harness/database.ts';
import { commit } from '../../harness/key-packages/bundles.ts';
import { newKeyPackage } from '../../harness/key-packages/packages.ts';
import { send, startConversation } from '../../harness/requests.ts';

// A commit with long lists reads rows in proportion to their length. Counted are the index entries that its statements read.

const database = useDatabase();
/** One session, whose plans were made while the tables were nearly empty. */
let pool: pg.Pool;
beforeAll(async () => {
  pool = makePool({ url: database().url, max: 1, name: 'parley-test', statementTimeoutMs: 60_000 });
  const first = await makeGroup(2);
  await pool.query('analyze');
  await addDevices(first, 'phone');
  await addDevices(first, 'tablet');
  await apply(first, { removes: first.users });
});
afterAll(() => pool.end());

interface Group {
  readonly id: string;
  readonly users: readonly string[];
  epoch: number;
}

async function makeGroup(size: number): Promise<Group> {
  const id = await startConversation(pool, { members: ['alice'], policy: { maxMembers: 10_000 } });
  return { id, users: Array.from({ length: size }, (_, n) => `user-${n}-of-${id}`), epoch: 0 };
}

/** Applies a commit. @returns the index entries that it read */
async function apply(group: Group, request: RequestJson): Promise<number> {
  const before = await entriesRead();
  expect(await commit(pool, group.id, group.epoch++, request)).toMatchObject({ status: 'accepted' });
  return (await entriesRead()) - before;
}

async function entriesRead(): Promise<number> {
  await pool.query('select pg_stat_force_next_flush()');
  const { rows } = await database().pool.query<{ read: number }>(
    'select sum(idx_tup_read)::bigint as read from pg_stat_user_indexes',
  );
  return rows[0]?.read ?? 0;
}

/** Adds a device of each user, with a Welcome for all of them. @returns the index entries that the commit read */
async function addDevices(group: Group, device: string): Promise<number> {
  const { users } = group;
  const refs = users.map(() => newKeyPackage().ref);
  await pool.query(
    `insert into key_package (ref, user_id, device_id, cipher_suite, key_package, not_after, last_resort)
     select r, u, $3, 1, 'x', now() + interval '1 day', false from unnest($1::bytea[], $2::text[]) x (r, u)`,
    [refs, users, device],
  );
  await pool.query(`insert into claim (ref, user_id) select r, 'alice' from unnest($1::bytea[]) r`, [refs]);
  return apply(group, { adds: users, refs: refs.map((ref) => ref.toString('hex')) });
}

test.each([
  ['adds users with a Welcome', (group: Group) => addDevices(group, 'phone')],
  [
    'adds a further device of each user',
    async (group: Group) => {
      await addDevices(group, 'phone');
      return addDevices(group, 'tablet');
    },
  ],
  [
    'removes users who have not taken up their Welcomes',
    async (group: Group) => {
      await addDevices(group, 'phone');
      await addDevices(group, 'tablet');
      return apply(group, { removes: group.users });
    },
  ],
  [
    'removes users who each have a Welcome of their own',
    async (group: Group) => {
      for (const user of group.users) await addDevices({ ...group, users: [user], epoch: group.epoch++ }, 'phone');
      return apply(group, { removes: group.users });
    },
  ],
  [
    'ends the pending removals of users who left',
    async (group: Group) => {
      await apply(group, { adds: group.users });
      await pool.query(`update member set leaving = true, left_seq = 1, left_self = true where user_id = any ($1)`, [
        group.users,
      ]);
      return apply(group, { leaves: ['alice'] });
    },
  ],
  [
    'removes half of the group by the proposals of those who left',
    async (group: Group) => {
      await apply(group, { adds: group.users });
      await pool.query(`update member set leaving = true, left_seq = 1, left_self = true where user_id = any ($1)`, [
        group.users,
      ]);
      return apply(group, { removes: group.users });
    },
  ],
])('a commit that %s reads at most 2.5 times as much for twice as many', async (_, work) => {
  const some = await work(await makeGroup(100));
  const twice = await work(await makeGroup(200));
  expect(twice / some).toBeLessThan(2.5);
});

/** Half of a group takes up its Welcomes, one after another, and leaves. @returns the index entries that was read for each */
async function leaveOneByOne(size: number): Promise<number> {
  const group = await makeGroup(size);
  await addDevices(group, 'phone');
  const leavers = group.users.slice(0, size / 2);
  const { rows } = await pool.query<{ user: string; id: string }>(
    'select user_id as user, id from welcome where user_id = any ($1)',
    [leavers.slice(0, size / 4)],
  );
  expect(rows).toHaveLength(size / 4);
  const before = await entriesRead();
  for (const { user, id } of rows) await acknowledgeWelcome(pool, { user, device: 'phone' }, id);
  for (const actor of leavers) {
    const { outcomes } = await send(pool, group.id, [{ kind: 'leave', id: randomUUID(), actor }]);
    expect(outcomes).toMatchObject([{ status: 'accepted' }]);
  }
  return ((await entriesRead()) - before) / leavers.length;
}

test('who takes up a Welcome and leaves reads no more in a group that is four times as large', async () => {
  await leaveOneByOne(8);
  const some = await leaveOneByOne(100);
  const most = await leaveOneByOne(400);
  expect(most / some).toBeLessThan(1.5);
});

/** Claims a package of each user, who has three in store. @returns the index entries that the claim read */
async function claimOf(count: number): Promise<number> {
  const users = Array.from({ length: count }, () => randomUUID());
  await pool.query(`insert into device (user_id, device_id) select u, 'phone' from unnest($1::text[]) u`, [users]);
  await pool.query(
    `insert into key_package (ref, user_id, device_id, cipher_suite, key_package, not_after, last_resort)
     select sha256((u || n)::bytea), u, 'phone', 1, 'x', now() + interval '1 day', false
     from unnest($1::text[]) u, generate_series(1, 3) n`,
    [users],
  );
  const any = { cipherSuite: undefined, conversation: undefined, usersPerMinute: 10_000, isLimitedByDevice: true };
  const claim = (operationId: string): ReturnType<typeof claimForUsers> =>
    claimForUsers(pool, { operationId, claimer: { user: 'claimer', device: 'phone' }, users, ...any });
  const before = await entriesRead();
  // Twice: the second one judges the packages of the first.
  for (const operation of [randomUUID(), randomUUID()]) {
    expect(await claim(operation)).toMatchObject({ status: 'claimed', missing: [] });
    expect(await claim(operation)).toMatchObject({ status: 'claimed', missing: [] });
  }
  return (await entriesRead()) - before;
}

test('a claim for many users reads at most 2.5 times as much for twice as many', async () => {
  await claimOf(1);
  const some = await claimOf(200);
  const twice = await claimOf(400);
  expect(twice / some).toBeLessThan(2.5);
});
