import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { eraseUser } from '../../../store/device/account.ts';
import { forgetDevice, listDevices } from '../../../store/device/devices.ts';
import { claimKeyPackages, readStock, uploadKeyPackages } from '../../../store/key-package/key-packages.ts';
import { useDatabase } from '../../harness/database.ts';
import { patientPool } from '../../harness/patient-pool.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { startConversation } from '../../harness/requests.ts';
import { claimed, commit } from '../../harness/key-packages/bundles.ts';
import { newUser } from '../../harness/key-packages/devices.ts';
import { lockWaiters } from '../../harness/key-packages/locks.ts';
import { newKeyPackage } from '../../harness/key-packages/packages.ts';

/** Remains of the key packages of erased users, and the locks that erasing takes. */
const database = useDatabase();
const claimOf = (user: string): Parameters<typeof claimKeyPackages>[1] => ({
  operationId: randomUUID(),
  claimer: { user: 'bob', device: 'phone' },
  user,
  devices: undefined,
  cipherSuite: undefined,
  conversation: undefined,
  perMinute: 300,
});

test('the refs of the key packages of an erased user stay and name nobody', async () => {
  const { pool } = database();
  const user = newUser('dave');
  const ref = await claimed(pool, { user, device: 'phone' });
  const forgotten = await claimed(pool, { user, device: 'laptop' });
  await forgetDevice(pool, { user, device: 'laptop' });
  await eraseUser(pool, user);
  const { rows } = await pool.query<{ row: string; expires: boolean }>(
    `select key_package::text as row, not_after > now() as expires from key_package
     where ref in (decode($1, 'hex'), decode($2, 'hex'))`,
    [ref, forgotten],
  );
  expect(rows).toHaveLength(2);
  for (const { row, expires } of rows) {
    expect([row.includes(user), /phone|laptop|62797465/u.test(row), expires]).toEqual([false, false, true]);
  }
});

test.each(['used', 'claimed', 'in store'])(
  'a key package that was %s cannot be uploaded again after erasing',
  async (state) => {
    const { pool } = database();
    const owner = { user: newUser('dave'), device: 'phone' };
    const keyPackage = newKeyPackage();
    const refs = [keyPackage.ref.toString('hex')];
    await uploadKeyPackages(pool, owner, [keyPackage], false);
    if (state !== 'in store')
      await claimKeyPackages(pool, { ...claimOf(owner.user), claimer: { user: 'alice', device: '' } });
    const conversation = await startConversation(pool);
    if (state === 'used') {
      expect(await commit(pool, conversation, 0, { adds: [owner.user], refs })).toMatchObject({ status: 'accepted' });
    }
    await eraseUser(pool, owner.user);
    for (const device of ['phone', 'laptop']) {
      const upload = await uploadKeyPackages(pool, { ...owner, device }, [keyPackage], false);
      expect(upload).toEqual({ status: 'stored', stored: 0, duplicates: 1, available: 0 });
    }
    expect(await claimKeyPackages(pool, claimOf(owner.user))).toMatchObject({ keyPackages: [] });
  },
);

test('a Welcome for a key package whose owner was erased is stale', async () => {
  const { pool } = database();
  const user = newUser('dave');
  const refs = [await claimed(pool, { user, device: 'phone' })];
  await eraseUser(pool, user);
  const outcome = await commit(pool, await startConversation(pool), 0, { adds: [user], refs });
  expect(outcome).toMatchObject({ status: 'refused', code: 'key-package-stale' });
});

test('erasing, a new device and a claim of both at the same time cause no deadlock', async () => {
  const { pool, url } = database();
  const patient = patientPool(url);
  const user = newUser('dave');
  const upload = (device: string): Promise<unknown> =>
    uploadKeyPackages(pool, { user, device }, [newKeyPackage()], false);
  await upload('b');
  // A commit holds this lock while it is being decided.
  const holder = await pool.connect();
  await holder.query('begin');
  await holder.query('select from key_package where user_id = $1 for no key update', [user]);
  const erasing = eraseUser(patient, user);
  await lockWaiters(pool, 1);
  await upload('a');
  const claiming = claimKeyPackages(patient, claimOf(user));
  await lockWaiters(pool, 2);
  await holder.query('commit');
  holder.release();
  expect(await claiming).toMatchObject({ status: 'claimed', keyPackages: [{ device: 'a' }], exhausted: [] });
  expect(await erasing).toEqual(['b', 'a']);
  expect(await listDevices(pool, user)).toEqual([]);
});

test('a reset that waits for a commit holds no lock that the commit needs next', async () => {
  const { pool, url } = database();
  const patient = patientPool(url);
  const owner = { user: newUser('dave'), device: 'phone' };
  const [first, second] = [newKeyPackage({ ref: Buffer.alloc(32, 1) }), newKeyPackage({ ref: Buffer.alloc(32, 2) })];
  await uploadKeyPackages(pool, owner, [first], false);
  await claimKeyPackages(pool, claimOf(owner.user));
  await uploadKeyPackages(pool, owner, [second], false);
  const holder = await pool.connect();
  await holder.query('begin');
  const lock = (ref: Buffer): Promise<unknown> =>
    holder.query('select from key_package where ref = $1 for no key update', [ref]);
  await lock(first.ref);
  const reset = uploadKeyPackages(patient, owner, [newKeyPackage()], true);
  await lockWaiters(pool, 1);
  await lock(second.ref);
  await holder.query('commit');
  holder.release();
  expect(await reset).toMatchObject({ status: 'stored', available: 1 });
});

test('bundles, resets, and forgetting and erasing their devices at once fail only with documented refusals', async () => {
  const { pool } = database();
  const user = newUser('dave');
  const devices = ['desk', 'laptop', 'phone'];
  const codes = new Set<unknown>();
  for (let round = 0; round < 12; round++) {
    const conversations = await Promise.all([startConversation(pool), startConversation(pool)]);
    const owned = devices.map((device) => ({ user, device }));
    const refs = await Promise.all(owned.map((owner) => claimed(pool, owner)));
    const bundles = conversations.map((conversation, i) =>
      commit(pool, conversation, 0, { adds: [user], refs: i === 0 ? refs : [...refs].reverse() }),
    );
    const ends: (() => Promise<unknown>)[] = [
      () => eraseUser(pool, user),
      () => Promise.all(owned.map((owner) => forgetDevice(pool, owner))),
      () => Promise.all(owned.map((owner) => uploadKeyPackages(pool, owner, [newKeyPackage()], true))),
    ];
    await Promise.all([...bundles, ends[round % 3]?.(), claimKeyPackages(pool, claimOf(user))]);
    for (const outcome of await Promise.all(bundles)) {
      codes.add(outcome?.status === 'refused' ? outcome.code : outcome?.status);
    }
    for (const conversation of conversations) await checkInvariants(pool, conversation);
    await eraseUser(pool, user);
    expect(await readStock(pool, { user, device: 'phone' })).toEqual({ available: 0, lastResort: false });
  }
  for (const code of codes) expect(['accepted', 'key-package-stale', 'welcome-mismatch']).toContain(code);
});
