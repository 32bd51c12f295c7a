import { beforeAll, describe, expect, test } from 'vitest';
import { LOW_STOCK_KEY_PACKAGES, MAX_CLAIMED_KEY_PACKAGES, MAX_HELD_KEY_PACKAGES } from '../../../domain/limits.ts';
import { sweepKeyPackages } from '../../../store/key-package/key-packages.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import { ownerOf, testKeyPackage } from '../../harness/key-packages.ts';
import { type Claimed, type TestDevice, deviceOf, newUser } from '../../harness/key-packages/devices.ts';

const PER_MINUTE = 30;
const notified: string[] = [];
const notifier = {
  entry: () => undefined,
  read: () => undefined,
  device: (user: string, device: string) => void notified.push(`${user} ${device}`),
};
const keyPackages = { maxLifetimeMs: undefined, claimsPerMinute: PER_MINUTE, claimedUsersPerMinute: 0 };
const { database, service } = useApi(() => ({ notifier }));
/** Two processes with limits on one database. */
const limited = [
  useApi(() => ({ notifier, keyPackages }), database).service,
  useApi(() => ({ notifier, keyPackages }), database).service,
] as const;

const refsOf = ({ keyPackages }: Claimed): string[] => keyPackages.map(({ ref }) => ref);
const setPackages = (column: string, value: string, user: string): Promise<unknown> =>
  database().pool.query(`update key_package set ${column} = ${value} where user_id = $1`, [user]);

const setPackage = (column: string, value: string, ref = ''): Promise<unknown> =>
  database().pool.query(`update key_package set ${column} = ${value} where ref = $1`, [Buffer.from(ref, 'base64')]);
const aMinuteLater = (claimer: string): Promise<unknown> =>
  database().pool.query("update claim set at = at - interval '1 minute' where user_id = $1", [claimer]);

describe('a claim', () => {
  let alice: TestDevice;
  let laptop: TestDevice;
  let bob: TestDevice;
  beforeAll(async () => {
    alice = await deviceOf(service, newUser('alice'));
    laptop = await deviceOf(service, alice.user, 'laptop');
    bob = await deviceOf(service, newUser('bob'));
  });

  test('gives one package of each device, the oldest first and each one once, then the last resort', async () => {
    const ofPhone = await alice.stock(2, true);
    const ofLaptop = await laptop.stock(1);
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push(await bob.claim(alice.user));
    const last = { device: 'phone', ref: ofPhone[2]?.ref, keyPackage: ofPhone[2]?.message, lastResort: true };
    expect(answers).toEqual([
      {
        keyPackages: [
          { device: 'laptop', ref: ofLaptop[0]?.ref, keyPackage: ofLaptop[0]?.message, lastResort: false },
          { device: 'phone', ref: ofPhone[0]?.ref, keyPackage: ofPhone[0]?.message, lastResort: false },
        ],
        exhausted: [],
      },
      {
        keyPackages: [{ device: 'phone', ref: ofPhone[1]?.ref, keyPackage: ofPhone[1]?.message, lastResort: false }],
        exhausted: ['laptop'],
      },
      { keyPackages: [last], exhausted: ['laptop'] },
      { keyPackages: [last], exhausted: ['laptop'] },
    ]);
    expect(ownerOf(answers[0]?.keyPackages[0]?.keyPackage ?? '')).toBe(alice.user);
  });

  test('may name devices, and ignores unknown ones', async () => {
    const [next] = await alice.stock(1);
    const answer = await bob.claim(alice.user, { devices: ['phone', 'toaster'] });
    expect([refsOf(answer), answer.exhausted]).toEqual([[next?.ref], []]);
    expect(await bob.claim(alice.user, { devices: ['toaster'] })).toEqual({ keyPackages: [], exhausted: [] });
  });

  test('gives packages of the other devices of the same user, but never of the claiming device', async () => {
    await alice.stock(1);
    const [ofLaptop] = await laptop.stock(1);
    expect(refsOf(await alice.claim(alice.user))).toEqual([ofLaptop?.ref]);
    expect(await alice.claim(alice.user, { devices: ['phone'] })).toEqual({ keyPackages: [], exhausted: [] });
    // A device with the same name that belongs to another user.
    const other = await deviceOf(service, newUser('bob'), 'phone');
    expect((await other.claim(alice.user, { devices: ['phone'] })).keyPackages).toHaveLength(1);
  });

  test('finds nothing for an unknown user', async () => {
    expect(await bob.claim(newUser('nobody'))).toEqual({ keyPackages: [], exhausted: [] });
  });

  test('lists devices that never had packages as exhausted', async () => {
    const carol = await deviceOf(service, newUser('carol'));
    await carol.ask('GET /v1/devices');
    expect(await bob.claim(carol.user)).toEqual({ keyPackages: [], exhausted: ['phone'] });
  });

  test('may select a cipher suite', async () => {
    const dave = await deviceOf(service, newUser('dave'));
    const [x25519] = await dave.stock(1);
    const p256 = await testKeyPackage(dave.user, { suite: 'MLS_128_DHKEMP256_AES128GCM_SHA256_P256' });
    await dave.ask('POST /v1/key-packages', { keyPackages: [p256.message] });
    expect(refsOf(await bob.claim(dave.user, { cipherSuite: 2 }))).toEqual([p256.ref]);
    expect(await bob.claim(dave.user, { cipherSuite: 2 })).toEqual({ keyPackages: [], exhausted: ['phone'] });
    expect(refsOf(await bob.claim(dave.user, { cipherSuite: 1 }))).toEqual([x25519?.ref]);
  });

  test.each([
    ['expired', 'not_after', "now() - interval '1 second'"],
    ['replaced', 'replaced_at', 'now()'],
  ])('never gives an %s package, not even as a last resort', async (_, column, value) => {
    const erin = await deviceOf(service, newUser('erin'));
    await erin.stock(2, true);
    await setPackages(column, value, erin.user);
    expect(await bob.claim(erin.user)).toEqual({ keyPackages: [], exhausted: ['phone'] });
    expect((await erin.ask('GET /v1/key-packages')).body).toEqual({ available: 0, lastResort: false, lowStock: true });
  });

  test('is stored with its claimer and the conversation that it names', async () => {
    const frank = await deviceOf(service, newUser('frank'));
    await frank.stock(2, true);
    const conversation = newConversationId();
    const refs = [];
    for (const body of [{ conversation }, {}, { conversation }, { conversation }]) {
      refs.push(...refsOf(await bob.claim(frank.user, body)));
    }
    const { rows } = await database().pool.query<{ ref: string; conversation: string }>(
      `select encode(ref, 'base64') as ref, conversation from claim
       where user_id = $1 and ref = any ($2) order by at`,
      [bob.user, refs.map((ref) => Buffer.from(ref, 'base64'))],
    );
    expect(rows).toEqual([
      { ref: refs[0], conversation },
      { ref: refs[1], conversation: '' },
      // The last resort went out twice, for the same conversation.
      { ref: refs[2], conversation },
      { ref: refs[3], conversation },
    ]);
  });

  test('gives the same packages again for the same Idempotency-Key', async () => {
    const grace = await deviceOf(service, newUser('grace'));
    await grace.stock(3);
    const what = `POST /v1/users/${grace.user}/key-packages/claim`;
    const headers = { 'idempotency-key': 'claim-1' };
    const [first, again] = await Promise.all([bob.ask(what, {}, headers), bob.ask(what, {}, headers)]);
    expect(first.body).toEqual(again.body);
    expect((await grace.ask('GET /v1/key-packages')).body).toMatchObject({ available: 2 });
  });

  test.each([
    { devices: [] },
    { devices: [''] },
    { devices: Array(101).fill('phone') as string[] },
    { conversation: '?' },
    { cipherSuite: 0 },
    { cipherSuite: 1.5 },
    { user: 'alice' },
  ])('is malformed with the body %j', async (body) => {
    const answer = await bob.ask(`POST /v1/users/${alice.user}/key-packages/claim`, body);
    expect([answer.status, answer.body.code]).toEqual([400, 'malformed']);
  });
});

describe('low stock', () => {
  test('is reported to the device once when a claim takes it below the mark, and once more after an upload', async () => {
    const alice = await deviceOf(service, newUser('alice'));
    const bob = await deviceOf(service, newUser('bob'));
    const mine = (): number => notified.filter((one) => one === `${alice.user} phone`).length;
    const lowSince = async (): Promise<boolean> => {
      const { rows } = await database().pool.query<{ low: boolean }>(
        'select low_stock_at is not null as low from device where user_id = $1',
        [alice.user],
      );
      return rows[0]?.low ?? false;
    };
    const all = await alice.stock(LOW_STOCK_KEY_PACKAGES + 1);
    await bob.claim(alice.user);
    expect([mine(), await lowSince()]).toEqual([0, false]);
    expect((await alice.ask('GET /v1/key-packages')).body).toMatchObject({ lowStock: false });
    await bob.claim(alice.user);
    expect([mine(), await lowSince()]).toEqual([1, true]);
    expect((await alice.ask('GET /v1/key-packages')).body).toMatchObject({ lowStock: true });
    await bob.claim(alice.user);
    await bob.claim(alice.user);
    expect([mine(), await lowSince()]).toEqual([1, true]);
    // Uploading the same packages again does not count as an upload.
    await alice.ask('POST /v1/key-packages', { keyPackages: all.map(({ message }) => message) });
    expect(await lowSince()).toBe(true);
    // One package is not enough, but the device already knows.
    await alice.stock(1);
    expect(await lowSince()).toBe(false);
    await bob.claim(alice.user);
    expect([mine(), await lowSince()]).toEqual([2, true]);
    for (let left = 2; left > 0; left--) await bob.claim(alice.user);
    expect((await alice.ask('GET /v1/key-packages')).body).toMatchObject({ available: 0 });
    expect(mine()).toBe(2);
  });
});

describe('limits', () => {
  test('a claimer may claim a limited number of packages a minute over all processes, and a refusal says when to try again', async () => {
    const alice = await deviceOf(limited[0], newUser('alice'));
    const bobs = [await deviceOf(limited[0], newUser('bob'))];
    bobs.push(await deviceOf(limited[1], bobs[0]?.user ?? ''));
    const [carol] = [await deviceOf(limited[1], newUser('carol'))];
    for (let i = 0; i < 4; i++) await (await deviceOf(limited[0], alice.user, `device-${i}`)).stock(10);
    const what = `POST /v1/users/${alice.user}/key-packages/claim`;
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => (bobs[i % 2] ?? alice).ask(what)));
    const passed = answers.filter((answer) => answer.status === 200);
    // Each claim takes four packages, so the eighth claim would exceed 30.
    expect(passed).toHaveLength(Math.floor(PER_MINUTE / 4));
    for (const answer of answers.filter((one) => one.status !== 200)) {
      expect([answer.status, answer.body.code]).toEqual([429, 'rate-limited']);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(60);
    }
    expect((await carol.claim(alice.user)).keyPackages).toHaveLength(4);
    // Now a minute passes.
    await aMinuteLater(bobs[0]?.user ?? '');
    expect((await bobs[0]?.ask(what))?.status).toBe(200);
  });

  test('a claimer with many unused packages of a device gets no more of them, nor the last resort while others are left', async () => {
    const alice = await deviceOf(limited[0], newUser('alice'));
    const packages = await alice.stock(MAX_HELD_KEY_PACKAGES + 3, true);
    const bob = await deviceOf(limited[0], newUser('bob'));
    const other = await deviceOf(limited[1], bob.user, 'laptop');
    const carol = await deviceOf(limited[1], newUser('carol'));
    const what = `POST /v1/users/${alice.user}/key-packages/claim`;
    const answers = await Promise.all(
      Array.from({ length: MAX_HELD_KEY_PACKAGES + 5 }, (_, i) => (i % 2 === 0 ? bob : other).ask(what)),
    );
    const passed = answers.filter(({ status }) => status === 200).map(({ body }) => body as unknown as Claimed);
    const claimed = passed.flatMap(({ keyPackages }) => keyPackages);
    expect(claimed.filter(({ lastResort }) => lastResort)).toEqual([]);
    expect(new Set(claimed.map(({ ref }) => ref)).size).toBe(MAX_HELD_KEY_PACKAGES);
    for (const { status, body, headers } of answers.filter((answer) => answer.status !== 200)) {
      expect([status, body.code]).toEqual([429, 'rate-limited']);
      expect(body.detail).toContain('"phone"');
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    }
    expect((await alice.ask('GET /v1/key-packages')).body).toMatchObject({ available: 3 });
    expect((await carol.claim(alice.user)).keyPackages).toMatchObject([{ lastResort: false }]);

    // The claim takes nothing of the other devices either, unless it names only them.
    const laptop = await deviceOf(limited[0], alice.user, 'laptop');
    await laptop.stock(2);
    expect((await bob.ask(what)).status).toBe(429);
    expect((await laptop.ask('GET /v1/key-packages')).body).toMatchObject({ available: 2 });
    expect((await bob.claim(alice.user, { devices: ['laptop'] })).keyPackages).toHaveLength(1);

    // Packages that a commit used, or that were claimed more than a day ago, no longer count.
    await aMinuteLater(bob.user);
    const phone = { devices: ['phone'] };
    await setPackage('used_at', 'now()', packages[0]?.ref);
    expect((await bob.claim(alice.user, phone)).keyPackages).toMatchObject([{ lastResort: false }]);
    expect((await bob.ask(what, phone)).status).toBe(429);
    await setPackage('claimed_at', "claimed_at - interval '1 day'", packages[1]?.ref);
    expect((await bob.claim(alice.user, phone)).keyPackages).toMatchObject([{ lastResort: false }]);
    // When the pool is empty, every claimer gets the last resort.
    expect((await bob.claim(alice.user, phone)).keyPackages).toMatchObject([{ lastResort: true }]);
  });

  test('a user who adds and removes a device in turn does not empty its pool', async () => {
    const alice = await deviceOf(limited[0], newUser('alice'));
    const bob = await deviceOf(limited[1], newUser('bob'));
    await alice.stock(MAX_CLAIMED_KEY_PACKAGES + 1);
    for (let i = 0; i < MAX_CLAIMED_KEY_PACKAGES; i++) {
      if (i % PER_MINUTE === 0) await aMinuteLater(bob.user);
      const [claimed] = (await bob.claim(alice.user)).keyPackages;
      await setPackage('used_at', 'now()', claimed?.ref);
    }
    await aMinuteLater(bob.user);
    const answer = await bob.ask(`POST /v1/users/${alice.user}/key-packages/claim`);
    expect([answer.status, answer.body.code]).toEqual([429, 'rate-limited']);
    expect((await alice.ask('GET /v1/key-packages')).body).toMatchObject({ available: 1 });
  });

  test('limits that are off refuse no claim', async () => {
    const alice = await deviceOf(service, newUser('alice'));
    const bob = await deviceOf(service, newUser('bob'));
    await alice.stock(PER_MINUTE + 10);
    for (let i = 0; i < PER_MINUTE + 10; i++) {
      expect((await bob.claim(alice.user)).keyPackages).toMatchObject([{ lastResort: false }]);
    }
  });
});

test('the sweep deletes packages and their claims a day after they expired', async () => {
  const alice = await deviceOf(service, newUser('alice'));
  const bob = await deviceOf(service, newUser('bob'));
  const packages = await alice.stock(3);
  await bob.claim(alice.user);
  const expire = (i: number, age: string): Promise<unknown> =>
    database().pool.query('update key_package set not_after = now() - $2::interval where ref = $1', [
      Buffer.from(packages[i]?.ref ?? '', 'base64'),
      age,
    ]);
  await expire(0, '25 hours');
  await expire(1, '23 hours');
  expect(await sweepKeyPackages(database().pool)).toBe(1);
  const { rows } = await database().pool.query<{ ref: string }>(
    "select encode(ref, 'base64') as ref from key_package where user_id = $1 order by uploaded_at",
    [alice.user],
  );
  expect(rows.map(({ ref }) => ref)).toEqual([packages[1]?.ref, packages[2]?.ref]);
  const claims = await database().pool.query('select 1 from claim where user_id = $1', [bob.user]);
  expect(claims.rowCount).toBe(0);
});
