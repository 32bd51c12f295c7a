import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { MAX_HELD_KEY_PACKAGES } from '../../../domain/limits.ts';
import { writeConsent } from '../../../store/consent/consent.ts';
import { eraseUser } from '../../../store/device/account.ts';
import { touchDevices } from '../../../store/device/devices.ts';
import { type GroupClaimOutcome, claimForUsers } from '../../../store/key-package/group-claims.ts';
import { claimKeyPackages, readStock, uploadKeyPackages } from '../../../store/key-package/key-packages.ts';
import { makeSweep } from '../../../store/retention/sweep.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { deviceOf, newUser } from '../../harness/key-packages/devices.ts';
import { newKeyPackage } from '../../harness/key-packages/packages.ts';
import { patientPool } from '../../harness/patient-pool.ts';

const WHAT = 'POST /v1/key-packages/claims';
const notified: string[] = [];
const notifier = {
  entry: () => undefined,
  read: () => undefined,
  device: (user: string, device: string) => void notified.push(`${user} ${device}`),
};
const { database, service } = useApi(() => ({ notifier }));
const limited = useApi(
  () => ({ keyPackages: { maxLifetimeMs: undefined, claimsPerMinute: 300, claimedUsersPerMinute: 10 } }),
  database,
).service;

/** A user whose phone has some packages, and each further device one. */
async function owner(name: string, packages = 1, ...devices: readonly string[]): Promise<string> {
  const user = newUser(name);
  for (const [i, device] of ['phone', ...devices].entries()) {
    const count = i === 0 ? packages : 1;
    await uploadKeyPackages(
      database().pool,
      { user, device },
      Array.from({ length: count }, () => newKeyPackage()),
      false,
    );
  }
  return user;
}

interface Body {
  readonly claimed: Readonly<
    Record<string, { device: string; keyPackage: string; ref: string; lastResort: boolean }[]>
  >;
  readonly exhausted: readonly { user: string; device: string }[];
  readonly missing: readonly { user: string; code: string; retryAfter?: number }[];
}
const bodyOf = ({ status, body, text }: Answer): Body => {
  if (status !== 200) throw new Error(text);
  return body as unknown as Body;
};
const stockOf = async (user: string): Promise<number> =>
  (await readStock(database().pool, { user, device: 'phone' })).available;

describe('a claim for many users', () => {
  test('gives a package of each device of each user, and says what is missing', async () => {
    const alice = await deviceOf(service, newUser('alice'));
    await alice.stock(1);
    await uploadKeyPackages(database().pool, { user: alice.user, device: 'tablet' }, [newKeyPackage()], false);
    const bob = await owner('bob', 2, 'laptop');
    const carol = newUser('carol');
    await uploadKeyPackages(
      database().pool,
      { user: carol, device: 'phone' },
      [newKeyPackage({ lastResort: true })],
      false,
    );
    await touchDevices(database().pool, [{ user: carol, device: 'watch' }]);
    const dave = newUser('dave');
    await touchDevices(database().pool, [{ user: dave, device: 'phone' }]);
    const erin = await owner('erin');
    await writeConsent(database().pool, erin, 'nobody');
    const odd = 'constructor';
    await uploadKeyPackages(database().pool, { user: odd, device: 'phone' }, [newKeyPackage()], false);

    const nobody = newUser('nobody');
    const users = [erin, nobody, bob, carol, odd, dave, alice.user, bob];
    const { claimed, exhausted, missing } = bodyOf(await alice.ask(WHAT, { users }));
    expect(Object.keys(claimed)).toEqual([bob, carol, odd, alice.user]);
    const own = new Map(Object.entries(claimed));
    expect(own.get(bob)).toMatchObject([
      { device: 'laptop', lastResort: false },
      { device: 'phone', lastResort: false },
    ]);
    expect(own.get(carol)).toMatchObject([{ device: 'phone', lastResort: true }]);
    expect(own.get(odd)).toHaveLength(1);
    // Never of the calling device.
    expect(own.get(alice.user)).toMatchObject([{ device: 'tablet' }]);
    expect(exhausted).toEqual([
      { user: carol, device: 'watch' },
      { user: dave, device: 'phone' },
    ]);
    expect(missing).toEqual([
      { user: erin, code: 'consent-required' },
      { user: nobody, code: 'no-devices' },
      { user: dave, code: 'exhausted' },
    ]);
    expect([await stockOf(bob), await stockOf(erin)]).toEqual([1, 1]);
    const asked = await (await deviceOf(service, erin)).ask('GET /v1/consent/requests');
    expect(asked.body).toMatchObject({ requests: [{ user: alice.user }] });
    expect(notified).toEqual(expect.arrayContaining([`${bob} phone`, `${bob} laptop`]));
  });

  test('takes the same packages for the conversation as a claim for one user, each once', async () => {
    const bob = await owner('bob', 12);
    const asker = await deviceOf(service, newUser('alice'));
    const conversation = 'Y29udmVyc2F0aW9uLW9mLW1hbnk';
    const answers = await Promise.all([
      ...Array.from({ length: 5 }, async (_, i) => {
        const claimer = await deviceOf(service, newUser(`claimer-${i}`));
        return bodyOf(await claimer.ask(WHAT, { users: [bob], conversation })).claimed[bob] ?? [];
      }),
      ...Array.from({ length: 5 }, async () => (await asker.claim(bob, { conversation })).keyPackages),
    ]);
    const refs = answers.flat().map(({ ref }) => ref);
    expect(new Set(refs).size).toBe(10);
    expect(await stockOf(bob)).toBe(2);
    const { rows } = await database().pool.query<{ conversation: string; many: number }>(
      `select conversation, count(*) filter (where many)::int as many from claim where ref = any ($1) group by 1`,
      [refs.map((ref) => Buffer.from(ref, 'base64'))],
    );
    expect(rows).toEqual([{ conversation, many: 5 }]);
  });

  test('gives packages of a user whose id is a special name of JavaScript', async () => {
    const user = '__proto__';
    await uploadKeyPackages(database().pool, { user, device: 'phone' }, [newKeyPackage()], false);
    const headers = {
      'content-type': 'application/json',
      authorization: `Bearer ${await tokenOf(newUser('alice'), { device: 'phone' })}`,
    };
    // Without the check of answers: zod leaves out this name.
    const answer = await fetch(`${service.url}/v1/key-packages/claims`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ users: [user] }),
    });
    const { claimed } = (await answer.json()) as Body;
    expect(Object.entries(claimed)).toMatchObject([[user, [{ device: 'phone' }]]]);
  });

  test('may select a cipher suite', async () => {
    const bob = newUser('bob');
    await uploadKeyPackages(
      database().pool,
      { user: bob, device: 'phone' },
      [newKeyPackage({ cipherSuite: 2 })],
      false,
    );
    const alice = await deviceOf(service, newUser('alice'));
    expect(bodyOf(await alice.ask(WHAT, { users: [bob], cipherSuite: 1 })).missing).toEqual([
      { user: bob, code: 'exhausted' },
    ]);
    expect(bodyOf(await alice.ask(WHAT, { users: [bob], cipherSuite: 2 })).claimed[bob]).toHaveLength(1);
  });

  test.each([
    {},
    { users: [] },
    { users: [''] },
    { users: Array.from({ length: 1001 }, (_, i) => `u${i}`) },
    { users: ['a'], devices: ['b'] },
  ])('is malformed with the body %#', async (body) => {
    const alice = await deviceOf(service, newUser('alice'));
    expect((await alice.ask(WHAT, body)).body).toMatchObject({ code: 'malformed' });
  });
});

describe('a retry with the same Idempotency-Key', () => {
  test('gets the same answer and claims nothing twice, however often and at once, also after changes', async () => {
    const { pool } = database();
    const bob = await owner('bob', 5, 'laptop');
    const carol = newUser('carol');
    await touchDevices(pool, [{ user: carol, device: 'phone' }]);
    const dave = await owner('dave');
    await writeConsent(pool, dave, 'nobody');
    const alice = await deviceOf(limited, newUser('alice'));
    const ask = (): Promise<Answer> => alice.ask(WHAT, { users: [bob, carol, dave] }, { 'idempotency-key': 'group' });
    const [first, ...others] = await Promise.all(Array.from({ length: 5 }, ask));
    const answer = bodyOf(first ?? expect.unreachable());
    expect(Object.keys(answer.claimed)).toEqual([bob]);
    for (const other of others) expect(other.body).toEqual(answer);
    expect(await stockOf(bob)).toBe(4);

    await pool.query('update key_package set used_at = now(), not_after = now() where user_id = $1', [bob]);
    await uploadKeyPackages(pool, { user: carol, device: 'phone' }, [newKeyPackage()], false);
    await writeConsent(pool, dave, 'anyone');
    const again = await ask();
    expect([again.body, again.headers.get('idempotent-replayed')]).toEqual([answer, 'true']);
    // What is stored for the key is not the answer.
    const { rows } = await pool.query<{ answer: unknown }>('select answer from idempotency where answer is not null');
    expect(rows).toContainEqual({ answer: { again: true } });

    expect((await alice.ask(WHAT, { users: [bob] }, { 'idempotency-key': 'group' })).body).toMatchObject({
      code: 'idempotency-key-reused',
    });
    await eraseUser(pool, bob);
    expect(bodyOf(await ask())).toMatchObject({ claimed: {}, missing: [{ user: bob, code: 'no-devices' }, {}, {}] });
  });

  test('is remembered for a day', async () => {
    const { pool } = database();
    const bob = newUser('bob');
    await uploadKeyPackages(pool, { user: bob, device: 'phone' }, [newKeyPackage({ lastResort: true })], false);
    const request = requestOf(bob);
    const first = await claimForUsers(pool, request);
    await pool.query("update group_claim set at = at - interval '23 hours' where operation = $1", [
      request.operationId,
    ]);
    const sweep = makeSweep(pool, { stagedMs: 1e9, operationsMs: 1e9, idempotencyMs: 86_400_000 });
    await sweep();
    // Nothing is low twice.
    const again = { ...first, lowStock: [] };
    expect(await claimForUsers(pool, request)).toEqual(again);
    await pool.query("update group_claim set at = at - interval '1 hour' where operation = $1", [request.operationId]);
    expect((await sweep()).groupClaims).toBe(1);
    // A new request, which gets the last resort once more.
    expect(await claimForUsers(pool, request)).toEqual(again);
    expect((await pool.query('select from group_claim where operation = $1', [request.operationId])).rowCount).toBe(1);
  });
});

function requestOf(...users: readonly string[]): Parameters<typeof claimForUsers>[1] {
  const claimer = { user: newUser('claimer'), device: 'phone' };
  const any = { cipherSuite: undefined, conversation: undefined, usersPerMinute: 0, isLimitedByDevice: true };
  return { operationId: randomUUID(), claimer, users, ...any };
}

describe('limits', () => {
  test('users count, not requests, and not against the limit of claims for one user', async () => {
    const users = await Promise.all(Array.from({ length: 12 }, () => owner('bob', 2)));
    const alice = await deviceOf(limited, newUser('alice'));
    bodyOf(await alice.ask(WHAT, { users: users.slice(0, 6) }));
    const refused = await alice.ask(WHAT, { users: users.slice(6, 11) });
    expect([refused.status, refused.body.code]).toEqual([429, 'rate-limited']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
    bodyOf(await alice.ask(WHAT, { users: users.slice(6, 10) }));
    // Unknown users count as well.
    expect((await alice.ask(WHAT, { users: ['nobody-knows'] })).status).toBe(429);
    expect((await alice.claim(users[11] ?? '')).keyPackages).toHaveLength(1);
    const { rows } = await database().pool.query<{ count: number }>(
      'select count(*)::int as count from claim where user_id = $1 and not many',
      [alice.user],
    );
    expect(rows).toEqual([{ count: 1 }]);
    await database().pool.query("update group_claim set at = at - interval '1 minute' where user_id = $1", [
      alice.user,
    ]);
    // The first claim of a minute may be larger than the limit.
    expect(Object.keys(bodyOf(await alice.ask(WHAT, { users: users.slice(0, 11) })).claimed)).toHaveLength(11);
  });

  test('nobody drains the packages of one user, whichever way it claims; the others are not touched', async () => {
    const { pool } = database();
    const victim = await owner('victim', MAX_HELD_KEY_PACKAGES + 5, 'laptop');
    const other = await owner('other');
    const request = requestOf(victim);
    const claim = (users: readonly string[]): Promise<GroupClaimOutcome> =>
      claimForUsers(pool, { ...request, operationId: randomUUID(), users });
    for (let i = 0; i < MAX_HELD_KEY_PACKAGES; i++) await claim([victim]);
    expect(await stockOf(victim)).toBe(5);
    const outcome = await claim([victim, other]);
    if (outcome.status !== 'claimed') expect.unreachable();
    expect([...outcome.claimed.keys()]).toEqual([other]);
    const [missing] = outcome.missing;
    expect(missing).toMatchObject({ user: victim, code: 'rate-limited' });
    expect(missing?.retryAfterMs).toBeGreaterThan(3_600_000);
    expect(await stockOf(victim)).toBe(5);
    const { claimer, cipherSuite, conversation } = request;
    const alone = { operationId: randomUUID(), claimer, cipherSuite, conversation, devices: undefined, perMinute: 300 };
    expect(await claimKeyPackages(pool, { ...alone, user: victim })).toMatchObject({
      status: 'limited',
      device: 'phone',
    });
    // Once the pool is empty there is nothing to protect.
    await pool.query('update key_package set replaced_at = now() where user_id = $1 and claimed_at is null', [victim]);
    expect(await claim([victim])).toMatchObject({ missing: [{ user: victim, code: 'exhausted' }] });
  });

  test('an answer is bounded: the users behind its end are left over, and the next claim gets them', async () => {
    const { pool } = database();
    const big = { bytes: Buffer.alloc(16 * 1024) };
    const heavy: string[] = [];
    for (let i = 0; i < 130; i++) {
      const user = newUser('heavy');
      await uploadKeyPackages(pool, { user, device: 'phone' }, [newKeyPackage(big), newKeyPackage(big)], false);
      heavy.push(user);
    }
    const request = requestOf(...heavy);
    const first = await claimForUsers(pool, request);
    if (first.status !== 'claimed') expect.unreachable();
    expect(first.claimed.size).toBe(128);
    expect(first.missing).toHaveLength(2);
    const left = first.missing.map(({ user, code }) => (code === 'left-over' ? user : code));
    expect(await claimForUsers(pool, { ...request, operationId: randomUUID(), users: left })).toMatchObject({
      missing: [],
    });

    const crowded = await owner('crowded');
    const devices = (user: string, count: number): Promise<unknown> =>
      pool.query(`insert into device (user_id, device_id) select $1, 'd' || n from generate_series(1, $2::int) n`, [
        user,
        count,
      ]);
    const [a = '', b = '', c = ''] = ['a', 'b', 'c'].map((name) => newUser(`full-${name}`));
    for (const user of [a, b, c]) await devices(user, 2000);
    const full = await claimForUsers(pool, requestOf(c, a, crowded, b));
    if (full.status !== 'claimed') expect.unreachable();
    expect(full.missing).toEqual([
      { user: c, code: 'left-over' },
      { user: a, code: 'exhausted' },
      { user: b, code: 'exhausted' },
    ]);
    expect([full.claimed.size, full.exhausted.length]).toEqual([1, 4000]);
  });
});

test('claims for the same users in any order, and a commit that locks their packages, wait for each other without a deadlock', async () => {
  const { pool, url } = database();
  const patient = patientPool(url);
  const users = await Promise.all(['a', 'b', 'c', 'd'].map((name) => owner(name, 40)));
  const [last = ''] = users.slice(-1);
  const holder = await pool.connect();
  const runs: Promise<unknown>[] = [];
  try {
    await holder.query('begin');
    await holder.query('select from device where user_id = $1 for update', [last]);
    runs.push(claimForUsers(patient, requestOf(...users)), claimForUsers(patient, requestOf(...users.toReversed())));
    const waiting = async (): Promise<number> =>
      (await pool.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`))
        .rowCount ?? 0;
    await waitUntil(async () => (await waiting()) === 2, { what: 'both wait' });
    // As commits do: packages in the order of their refs. A deadlock would end it or the claims.
    await holder.query('select from key_package where user_id = any ($1) order by ref for no key update', [users]);
    await holder.query('commit');
  } finally {
    holder.release();
  }
  const outcomes = await Promise.all(runs);
  for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'claimed', missing: [] });
});
