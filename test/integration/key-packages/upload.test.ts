import { describe, expect, test } from 'vitest';
import { MAX_KEY_PACKAGES_PER_DEVICE } from '../../../domain/limits.ts';
import { privateMessage, welcome } from '../../harness/api/frames.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { type KeyPackageOptions, tamper, testKeyPackage, testKeyPackages } from '../../harness/key-packages.ts';
import { type TestDevice, deviceOf, newUser } from '../../harness/key-packages/devices.ts';

const DAY_S = 24 * 3600;
const { database, service } = useApi();
const { service: strict } = useApi(
  () => ({ keyPackages: { maxLifetimeMs: 90 * DAY_S * 1000, claimsPerMinute: 0, claimedUsersPerMinute: 0 } }),
  database,
);

/** Its process is two days behind the clock that judges. */
const { service: behind } = useApi(
  () => ({
    keyPackages: {
      maxLifetimeMs: undefined,
      claimsPerMinute: 0,
      claimedUsersPerMinute: 0,
      now: () => Date.now() + 2 * DAY_S * 1000,
    },
  }),
  database,
);

const messages = (packages: readonly { message: string }[]): string[] => packages.map(({ message }) => message);
const stockOf = async (device: TestDevice): Promise<unknown> => (await device.ask('GET /v1/key-packages')).body;

test('a batch of packages is stored and counted for the device that uploaded it', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const laptop = await deviceOf(service, phone.user, 'laptop');
  expect(await stockOf(phone)).toEqual({ available: 0, lastResort: false, lowStock: true });
  const body = {
    keyPackages: messages(await testKeyPackages(phone.user, 5)),
    lastResort: (await testKeyPackage(phone.user, { lastResort: true })).message,
  };
  const stored = await phone.ask('POST /v1/key-packages', body);
  expect([stored.status, stored.body]).toEqual([200, { stored: 6, duplicates: 0, available: 5 }]);
  expect(await stockOf(phone)).toEqual({ available: 5, lastResort: true, lowStock: false });
  expect(await stockOf(laptop)).toEqual({ available: 0, lastResort: false, lowStock: true });
});

test('a package that the device uploaded before is a duplicate, recognised by its ref', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const first = messages(await testKeyPackages(phone.user, 2));
  const upload = async (keyPackages: string[]): Promise<unknown> =>
    (await phone.ask('POST /v1/key-packages', { keyPackages })).body;
  expect(await upload(first)).toEqual({ stored: 2, duplicates: 0, available: 2 });
  expect(await upload(first)).toEqual({ stored: 0, duplicates: 2, available: 2 });
  const [third = ''] = messages(await testKeyPackages(phone.user, 1));
  expect(await upload([...first, third, third])).toEqual({ stored: 1, duplicates: 3, available: 3 });
});

test('a new last resort replaces the previous one, and an old one cannot be uploaded again', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const bob = await deviceOf(service, newUser('bob'));
  const [one, two] = [
    await testKeyPackage(phone.user, { lastResort: true }),
    await testKeyPackage(phone.user, { lastResort: true }),
  ];
  for (const { message } of [one, two, one]) {
    await phone.ask('POST /v1/key-packages', { keyPackages: [], lastResort: message });
    expect(await stockOf(phone)).toMatchObject({ available: 0, lastResort: true });
  }
  expect((await bob.claim(phone.user)).keyPackages).toMatchObject([{ ref: two.ref, lastResort: true }]);
});

test('a last resort of another cipher suite is stored beside the first one', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const bob = await deviceOf(service, newUser('bob'));
  const x25519 = await testKeyPackage(phone.user, { lastResort: true });
  const p256 = await testKeyPackage(phone.user, { lastResort: true, suite: 'MLS_128_DHKEMP256_AES128GCM_SHA256_P256' });
  for (const { message: lastResort } of [x25519, p256]) {
    expect((await phone.ask('POST /v1/key-packages', { keyPackages: [], lastResort })).status).toBe(200);
  }
  expect((await bob.claim(phone.user, { cipherSuite: 1 })).keyPackages).toMatchObject([{ ref: x25519.ref }]);
  expect((await bob.claim(phone.user, { cipherSuite: 2 })).keyPackages).toMatchObject([{ ref: p256.ref }]);
  expect(await bob.claim(phone.user, { cipherSuite: 3 })).toEqual({ keyPackages: [], exhausted: ['phone'] });
});

test.each([
  'MLS_128_DHKEMP256_AES128GCM_SHA256_P256',
  'MLS_256_DHKEMP384_AES256GCM_SHA384_P384',
  'MLS_256_DHKEMP521_AES256GCM_SHA512_P521',
] as const)('packages of %s are checked and stored', async (suite) => {
  const phone = await deviceOf(service, newUser('alice'));
  const { message, ref } = await testKeyPackage(phone.user, { suite });
  const answer = await phone.ask('POST /v1/key-packages', { keyPackages: [message] });
  expect(answer.body).toEqual({ stored: 1, duplicates: 0, available: 1 });
  const bad = await phone.ask('POST /v1/key-packages', { keyPackages: [tamper(message, 3)] });
  expect(bad.body.code).toBe('malformed');
  const bob = await deviceOf(service, newUser('bob'));
  expect((await bob.claim(phone.user)).keyPackages).toMatchObject([{ ref, keyPackage: message }]);
});

describe('one bad package refuses the whole batch', () => {
  const make = async (user: string, options: KeyPackageOptions): Promise<string> =>
    (await testKeyPackage(user, options)).message;
  const ofUser =
    (options: KeyPackageOptions) =>
    (user: string): Promise<string> =>
      make(user, options);
  /** The fault, the package with this fault, and the detail of the refusal. */
  const bad: [string, (user: string) => string | Promise<string>, RegExp][] = [
    ['is no MLSMessage', () => base64('nonsense'), /MLSMessage/],
    ['is a Welcome', () => base64(welcome()), /welcome/],
    ['is a message', () => base64(privateMessage('AAAAAAAAAAAAAAAAAAAAAA', 0)), /private_message/],
    ['has a byte too many', async (user) => base64(Buffer.concat([await bytesOf(user), Buffer.from([0])])), /trailing/],
    ['has a byte too few', async (user) => base64((await bytesOf(user)).subarray(0, -1)), /MLSMessage/],
    [
      'is too large',
      ofUser({ forge: () => ({ extensions: [{ extensionType: 0xff00, extensionData: new Uint8Array(17_000) }] }) }),
      /bytes/,
    ],
    ['has a bad signature', async (user) => tamper(await make(user, {}), 5), /signature that is not valid/],
    ['has a leaf with a bad signature', ofUser({ leafSignature: new Uint8Array(64) }), /leaf whose signature/],
    ['has expired', ofUser({ notBefore: -2 * DAY_S, notAfter: -60 }), /expired/],
    ['is not valid yet', ofUser({ notBefore: DAY_S }), /not valid yet/],
    [
      'has one key for both',
      ofUser({ forge: ({ leafNode }) => ({ initKey: leafNode.hpkePublicKey }) }),
      /same init key/,
    ],
    [
      'has a key of another length',
      ofUser({ forge: () => ({ initKey: new Uint8Array(31) }) }),
      /does not fit its cipher suite/,
    ],
    ['is a last resort', ofUser({ lastResort: true }), /last_resort/],
    ['does not list its suite', ofUser({ capabilities: { ciphersuites: [] } }), /cipher suite in its capabilities/],
    ['does not list mls10', ofUser({ capabilities: { versions: [] } }), /mls10/],
    ['does not list its credential', ofUser({ capabilities: { credentials: ['x509'] } }), /credential type/],
    [
      'has a leaf extension that it does not list',
      ofUser({
        forge: () => ({ leafNode: { extensions: [{ extensionType: 0xff00, extensionData: new Uint8Array() }] } }),
      }),
      /extension in its leaf/,
    ],
  ];

  test.each(bad)('when it %s, and names it', async (_, makeBad, message) => {
    const phone = await deviceOf(service, newUser('alice'));
    const good = messages(await testKeyPackages(phone.user, 3));
    const keyPackages = [...good, await makeBad(phone.user)];
    for (const method of ['POST', 'PUT']) {
      const { status, body } = await phone.ask(`${method} /v1/key-packages`, { keyPackages });
      expect([status, body.code]).toEqual([400, 'malformed']);
      expect(body.errors).toEqual([{ pointer: '/keyPackages/3', message: expect.stringMatching(message) as string }]);
    }
    expect(await stockOf(phone)).toMatchObject({ available: 0 });
  });

  test.each<[string, (user: string) => Promise<string>, RegExp]>([
    ['lacks its extension', ofUser({}), /lacks the last_resort/],
    ['does not list its extension', ofUser({ lastResort: true, capabilities: { extensions: [] } }), /capabilities/],
  ])('when its last resort %s', async (_, makeBad, message) => {
    const phone = await deviceOf(service, newUser('alice'));
    const body = { keyPackages: messages(await testKeyPackages(phone.user, 1)), lastResort: await makeBad(phone.user) };
    const answer = await phone.ask('POST /v1/key-packages', body);
    expect([answer.status, answer.body.code]).toEqual([400, 'malformed']);
    expect(answer.body.errors).toEqual([{ pointer: '/lastResort', message: expect.stringMatching(message) as string }]);
    expect(await stockOf(phone)).toMatchObject({ available: 0, lastResort: false });
  });

  test('and names every bad package', async () => {
    const phone = await deviceOf(service, newUser('alice'));
    const keyPackages = [base64('x'), await make(phone.user, {}), base64('y'), await make('mallory', {})];
    const { body } = await phone.ask('POST /v1/key-packages', { keyPackages });
    const pointers = (body.errors as { pointer: string }[]).map(({ pointer }) => pointer);
    expect(pointers).toEqual(['/keyPackages/0', '/keyPackages/2']);
  });

  async function bytesOf(user: string): Promise<Buffer> {
    return Buffer.from(await make(user, {}), 'base64');
  }
});

test.each<[string, KeyPackageOptions]>([
  ['the identity of another user', { credential: { credentialType: 'basic', identity: Buffer.from('mallory') } }],
  ['an identity that looks the same', { credential: { credentialType: 'basic', identity: Buffer.from('ａlice') } }],
  ['none', { credential: { credentialType: 'basic', identity: new Uint8Array() } }],
  ['an identity in a certificate', { credential: { credentialType: 'x509', certificates: [Buffer.from('alice')] } }],
])('a package whose identity is not the uploader is refused: %s', async (_, options) => {
  const phone = await deviceOf(service, newUser('alice'));
  const good = await testKeyPackage(phone.user);
  const bad = await testKeyPackage(phone.user, options);
  const refused = await phone.ask('POST /v1/key-packages', { keyPackages: [good.message, bad.message] });
  expect([refused.status, refused.body.code, refused.body.index]).toEqual([403, 'identity-mismatch', 1]);
  expect(await stockOf(phone)).toMatchObject({ available: 0 });
});

test('the identity is the user id as UTF-8 in any script', async () => {
  const phone = await deviceOf(service, newUser('Ünïcode 日本'));
  expect(await phone.stock(1)).toHaveLength(1);
});

test.each<[number, number, number]>([
  [-3600, 89 * DAY_S, 200],
  [-3600, 90 * DAY_S, 400],
])('the configuration limits the lifetime: a package from %i to %i s gets %i', async (notBefore, notAfter, status) => {
  const phone = await deviceOf(strict, newUser('alice'));
  const { message } = await testKeyPackage(phone.user, { notBefore, notAfter });
  expect((await phone.ask('POST /v1/key-packages', { keyPackages: [message] })).status).toBe(status);
});

test('a package may live without a limit when none is configured', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const { message } = await testKeyPackage(phone.user, { notAfter: 2 ** 52 });
  expect((await phone.ask('POST /v1/key-packages', { keyPackages: [message] })).body).toMatchObject({ stored: 1 });
});

test('a package that another device or user stored is refused with its whole batch', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const laptop = await deviceOf(service, phone.user, 'laptop');
  const [taken] = await phone.stock(1);
  const own = await testKeyPackage(phone.user);
  for (const method of ['POST', 'PUT']) {
    const body = { keyPackages: [own.message, taken?.message] };
    const refused = await laptop.ask(`${method} /v1/key-packages`, body);
    expect([refused.status, refused.body.code]).toEqual([400, 'malformed']);
    expect(refused.body.errors).toMatchObject([{ pointer: '/keyPackages/1' }]);
  }
  expect(await stockOf(laptop)).toMatchObject({ available: 0 });
});

test('the size of a batch and the number of packages of a device are limited', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const tooMany = await phone.ask('POST /v1/key-packages', { keyPackages: Array(101).fill(base64('x')) });
  expect([tooMany.status, tooMany.body.errors]).toMatchObject([400, [{ pointer: '/keyPackages' }]]);
  const tooLarge = await phone.ask('POST /v1/key-packages', { keyPackages: [base64(Buffer.alloc(200_000))] });
  expect(tooLarge.status).toBe(413);

  for (let stored = 0; stored < MAX_KEY_PACKAGES_PER_DEVICE; stored += 100) await phone.stock(100);
  const [first, over] = await testKeyPackages(phone.user, 2);
  const refused = await phone.ask('POST /v1/key-packages', { keyPackages: [over?.message] });
  expect([refused.status, refused.body.code]).toEqual([429, 'rate-limited']);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await stockOf(phone)).toMatchObject({ available: MAX_KEY_PACKAGES_PER_DEVICE });
  // The last resort does not count, and a reset makes room.
  const last = await testKeyPackage(phone.user, { lastResort: true });
  const beside = await phone.ask('POST /v1/key-packages', { keyPackages: [], lastResort: last.message });
  expect(beside.body).toMatchObject({ stored: 1 });
  const reset = await phone.ask('PUT /v1/key-packages', { keyPackages: [first?.message] });
  expect(reset.body).toEqual({ stored: 1, duplicates: 0, available: 1 });
});

test('PUT replaces all packages, also claimed but unused ones, and a repeated PUT changes nothing', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const bob = await deviceOf(service, newUser('bob'));
  const old = await phone.stock(3, true);
  const { keyPackages: claimed } = await bob.claim(phone.user);
  const fresh = await testKeyPackages(phone.user, 2);
  const reset = { keyPackages: messages(fresh) };
  expect((await phone.ask('PUT /v1/key-packages', reset)).body).toEqual({ stored: 2, duplicates: 0, available: 2 });
  expect(await stockOf(phone)).toEqual({ available: 2, lastResort: false, lowStock: true });
  expect(await replaced(old)).toEqual(old.map(() => true));
  expect(claimed).toMatchObject([{ ref: old[0]?.ref }]);

  expect((await phone.ask('PUT /v1/key-packages', reset)).body).toEqual({ stored: 0, duplicates: 2, available: 2 });
  const refs = [await bob.claim(phone.user), await bob.claim(phone.user)].map(({ keyPackages }) => keyPackages[0]?.ref);
  expect(refs).toEqual(fresh.map(({ ref }) => ref));
  expect(await bob.claim(phone.user)).toEqual({ keyPackages: [], exhausted: ['phone'] });
});

test('PUT does not change packages that a commit used, or packages of other devices', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const laptop = await deviceOf(service, phone.user, 'laptop');
  const bob = await deviceOf(service, newUser('bob'));
  const [used] = await phone.stock(1);
  await laptop.stock(2, true);
  await bob.claim(phone.user, { devices: ['phone'] });
  await database().pool.query('update key_package set used_at = now() where ref = $1', [refBytes(used?.ref)]);
  expect((await phone.ask('PUT /v1/key-packages', { keyPackages: [] })).body).toMatchObject({
    stored: 0,
    available: 0,
  });
  expect(await replaced(used === undefined ? [] : [used])).toEqual([false]);
  expect(await stockOf(laptop)).toMatchObject({ available: 2, lastResort: true });
});

test('unknown fields and other forms of a body are refused', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  for (const body of [
    {},
    { keyPackages: 'x' },
    { keyPackages: [1] },
    { keyPackages: [], more: 1 },
    { keyPackages: [''] },
  ]) {
    expect((await phone.ask('POST /v1/key-packages', body)).body.code).toBe('malformed');
  }
});

function refBytes(ref = ''): Buffer {
  return Buffer.from(ref, 'base64');
}

async function replaced(packages: readonly { ref: string }[]): Promise<boolean[]> {
  const { rows } = await database().pool.query<{ replaced: boolean }>(
    `select k.replaced_at is not null as replaced from unnest($1::bytea[]) with ordinality r (ref, n)
     join key_package k on k.ref = r.ref order by n`,
    [packages.map(({ ref }) => refBytes(ref))],
  );
  return rows.map((row) => row.replaced);
}

test('the lifetime of a package is judged by the clock of the database, and not by that of the process', async () => {
  const phone = await deviceOf(behind, newUser('alice'));
  const upload = async (notBefore: number, notAfter: number): Promise<number> => {
    const { message } = await testKeyPackage(phone.user, { notBefore, notAfter });
    return (await phone.ask('POST /v1/key-packages', { keyPackages: [message] })).status;
  };
  expect(await upload(-DAY_S, DAY_S)).toBe(400);
  expect(await upload(DAY_S, 4 * DAY_S)).toBe(200);
});
