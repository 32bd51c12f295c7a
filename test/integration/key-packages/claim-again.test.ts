import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { eraseUser } from '../../../store/device/account.ts';
import { touchDevices } from '../../../store/device/devices.ts';
import {
  type ClaimRequest,
  claimKeyPackages,
  readStock,
  uploadKeyPackages,
} from '../../../store/key-package/key-packages.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { deviceOf, newUser } from '../../harness/key-packages/devices.ts';
import { newKeyPackage } from '../../harness/key-packages/packages.ts';

/** Claims that are asked again, because nobody heard the answer. */
const { database, service } = useApi();

/** A user whose phone has two packages, whose laptop has a last resort, and whose watch has nothing. */
async function makeOwner(): Promise<string> {
  const { pool } = database();
  const user = newUser('alice');
  await uploadKeyPackages(pool, { user, device: 'phone' }, [newKeyPackage(), newKeyPackage()], false);
  await uploadKeyPackages(pool, { user, device: 'laptop' }, [newKeyPackage({ lastResort: true })], false);
  await touchDevices(pool, [{ user, device: 'watch' }]);
  return user;
}

function claimOf(user: string, perMinute: number): ClaimRequest {
  const claimer = { user: newUser('bob'), device: 'phone' };
  const any = { devices: undefined, cipherSuite: undefined, conversation: undefined };
  return { operationId: randomUUID(), claimer, user, perMinute, ...any };
}

async function claim(request: ClaimRequest): Promise<object> {
  const outcome = await claimKeyPackages(database().pool, request);
  if (outcome.status !== 'claimed') throw new Error('The claimer has to wait');
  const { keyPackages, exhausted } = outcome;
  return { keyPackages, exhausted };
}

test.each([0, 300])(
  'a claim that is sent many times at once gives one set of key packages (at most %i a minute)',
  async (perMinute) => {
    const user = await makeOwner();
    const request = claimOf(user, perMinute);
    const [first, ...others] = await Promise.all(Array.from({ length: 8 }, () => claim(request)));
    expect(first).toMatchObject({ keyPackages: [{ device: 'laptop' }, { device: 'phone' }], exhausted: ['watch'] });
    for (const other of others) expect(other).toEqual(first);
    expect(await readStock(database().pool, { user, device: 'phone' })).toMatchObject({ available: 1 });
  },
);

test('a repeated claim gets its first answer, even after changes to the packages, the devices and the limits', async () => {
  const { pool } = database();
  const user = await makeOwner();
  // The limit is two packages a minute, and the claimer has them.
  const request = claimOf(user, 2);
  const first = await claim(request);
  await expect(claim({ ...request, operationId: randomUUID() })).rejects.toThrow('has to wait');
  await uploadKeyPackages(pool, { user, device: 'laptop' }, [newKeyPackage({ lastResort: true })], true);
  await uploadKeyPackages(pool, { user, device: 'watch' }, [newKeyPackage()], false);
  await touchDevices(pool, [{ user, device: 'new' }]);
  await pool.query('update key_package set used_at = now(), not_after = now() where user_id = $1 and device_id = $2', [
    user,
    'phone',
  ]);
  expect(await claim(request)).toEqual(first);
});

test('a repeated claim gets nothing of an erased user', async () => {
  const user = await makeOwner();
  const request = claimOf(user, 300);
  await claim(request);
  await eraseUser(database().pool, user);
  await uploadKeyPackages(database().pool, { user, device: 'phone' }, [newKeyPackage()], false);
  expect(await claim(request)).toEqual({ keyPackages: [], exhausted: [] });
});

test('a claim whose process died before it stored the answer gives the same answer for its Idempotency-Key', async () => {
  const { pool } = database();
  const alice = await deviceOf(service, newUser('alice'));
  const bob = await deviceOf(service, newUser('bob'));
  await alice.stock(3);
  const key = { 'idempotency-key': 'unheard' };
  const ask = (): Promise<Answer> => bob.ask(`POST /v1/users/${alice.user}/key-packages/claim`, {}, key);
  await pool.query(
    `create function die() returns trigger language plpgsql as $$ begin raise exception 'died'; end $$;
     create trigger die before update of status on idempotency for each row execute function die()`,
  );
  const first = await ask();
  await pool.query('drop function die cascade; update idempotency set lease_until = now() where status is null');
  const again = await ask();
  expect([again.status, again.body]).toEqual([200, first.body]);
  expect((await alice.ask('GET /v1/key-packages')).body).toMatchObject({ available: 2 });
});
