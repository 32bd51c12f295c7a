import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { type Upload, uploadKeyPackages } from '../../../store/key-package/key-packages.ts';
import { eraseUser } from '../../../store/device/account.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { testKeyPackage } from '../../harness/key-packages.ts';
import { deviceOf, newUser } from '../../harness/key-packages/devices.ts';
import { newKeyPackage } from '../../harness/key-packages/packages.ts';
import { startGroup } from '../../harness/mls/group.ts';

const { database, service } = useApi();

type Keys = ReturnType<typeof newKeyPackage>['keys'];

const upload = (user: string, ...keys: Partial<Keys>[]): Promise<Upload> =>
  uploadKeyPackages(
    database().pool,
    { user, device: 'phone' },
    keys.map((some) => newKeyPackage({ keys: { ...newKeyPackage().keys, ...some } })),
    false,
  );

test.each(['init', 'encryption', 'signature'] as const)('two users never share an %s key', async (purpose) => {
  const key = randomBytes(32);
  const [alice, bob] = [newUser('alice'), newUser('bob')];
  expect(await upload(alice, { [purpose]: key })).toMatchObject({ status: 'stored' });
  expect(await upload(bob, {}, { [purpose]: key })).toEqual({ status: 'shared', indexes: [1] });
  // Nothing of the refused batch was kept.
  expect((await database().pool.query('select from public_key where user_id = $1', [bob])).rowCount).toBe(0);
  await eraseUser(database().pool, alice);
  expect(await upload(bob, { [purpose]: key })).toMatchObject({ status: 'stored' });
});

test('a user may use its signature key again, and no init key, nor one key for two purposes', async () => {
  const user = newUser('alice');
  const [signature, key] = [randomBytes(32), randomBytes(32)];
  expect(await upload(user, { signature }, { signature })).toMatchObject({ status: 'stored', stored: 2 });
  expect(await upload(user, { init: key }, { init: key })).toEqual({ status: 'shared', indexes: [0, 1] });
  expect(await upload(user, { init: key })).toMatchObject({ status: 'stored' });
  expect(await upload(user, { init: key })).toEqual({ status: 'shared', indexes: [0] });
  expect(await upload(user, { encryption: key })).toEqual({ status: 'shared', indexes: [0] });
});

test.each(['init', 'encryption'] as const)(
  'nobody keeps a user out by naming its signature key as an %s key, which nothing proves',
  async (purpose) => {
    const signature = randomBytes(32);
    const [alice, mallory] = [newUser('alice'), newUser('mallory')];
    expect(await upload(mallory, { [purpose]: signature })).toMatchObject({ status: 'stored' });
    expect(await upload(alice, { signature })).toMatchObject({ status: 'stored' });
    expect(await upload(mallory, { [purpose]: signature })).toEqual({ status: 'shared', indexes: [0] });
    // With a signature it would be proven, and alice keeps it.
    expect(await upload(mallory, { signature })).toEqual({ status: 'shared', indexes: [0] });
  },
);

test('a key package whose lifetime ends before it begins is refused', async () => {
  const phone = await deviceOf(service, newUser('alice'));
  const { message } = await testKeyPackage(phone.user, { notBefore: 200, notAfter: 100 });
  const answer = await phone.ask('POST /v1/key-packages', { keyPackages: [message] });
  expect([answer.status, answer.body.errors]).toEqual([
    400,
    [{ pointer: '/keyPackages/0', message: 'has a lifetime that ends before it begins' }],
  ]);
});

test('a claim for a conversation gets packages of its cipher suite only', async () => {
  const [alice, bob] = [newUser('alice'), newUser('bob')];
  const group = await startGroup(service, [alice], {});
  const phone = await deviceOf(service, bob);
  const { message } = await testKeyPackage(bob, { suite: 'MLS_128_DHKEMP256_AES128GCM_SHA256_P256' });
  expect((await phone.ask('POST /v1/key-packages', { keyPackages: [message] })).status).toBe(200);
  const claimer = await deviceOf(service, alice);
  const exhausted = { keyPackages: [], exhausted: ['phone'] };
  expect(await claimer.claim(bob, { conversation: group.id })).toMatchObject(exhausted);
  expect(await claimer.claim(bob, { conversation: group.id, cipherSuite: 2 })).toMatchObject(exhausted);
  expect((await claimer.claim(bob)).keyPackages).toHaveLength(1);
});
