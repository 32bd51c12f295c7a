import { expect, test } from 'vitest';
import { decide } from '../../../store/decision/decide.ts';
import { uploadKeyPackages } from '../../../store/key-package/key-packages.ts';
import { listWelcomes } from '../../../store/welcome/welcomes.ts';
import { useDatabase } from '../../harness/database.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { startConversation } from '../../harness/requests.ts';
import { claimed, commit } from '../../harness/key-packages/bundles.ts';
import { newUser } from '../../harness/key-packages/devices.ts';
import { newKeyPackage } from '../../harness/key-packages/packages.ts';

/** Changes to Welcomes that wait for a device. */
const database = useDatabase();

/** Makes a conversation and adds dave. Returns it with dave's device, whose Welcome waits. */
async function invited(): Promise<{ conversation: string; phone: { user: string; device: string } }> {
  const { pool } = database();
  const phone = { user: newUser('dave'), device: 'phone' };
  const conversation = await startConversation(pool);
  const refs = [await claimed(pool, phone), await claimed(pool, { ...phone, device: 'laptop' })];
  expect(await commit(pool, conversation, 0, { adds: [phone.user], refs })).toMatchObject({ status: 'accepted' });
  expect((await listWelcomes(pool, phone)).welcomes).toMatchObject([{ conversation, seq: 1 }]);
  return { conversation, phone };
}

async function bodiesOf(conversation: string): Promise<number[]> {
  const { rows } = await database().pool.query<{ seq: number }>(
    'select b.seq from welcome_body b join conversation c on c.key = b.conversation where c.id = $1 order by b.seq',
    [conversation],
  );
  return rows.map(({ seq }) => seq);
}

test('a Welcome for a last resort that was replaced after the claim is stale', async () => {
  const { pool } = database();
  const phone = { user: newUser('dave'), device: 'phone' };
  const refs = [await claimed(pool, phone, { lastResort: true })];
  await uploadKeyPackages(pool, phone, [newKeyPackage({ lastResort: true })], false);
  const outcome = await commit(pool, await startConversation(pool), 0, { adds: [phone.user], refs });
  expect(outcome).toMatchObject({ status: 'refused', code: 'key-package-stale' });
});

test('leaving withdraws a waiting Welcome', async () => {
  const { pool } = database();
  const { conversation, phone } = await invited();
  const leave = { kind: 'leave', id: 'leave', actor: phone.user, size: 0 } as const;
  expect((await decide(pool, conversation, [leave])).outcomes).toMatchObject([{ status: 'accepted' }]);
  for (const device of ['phone', 'laptop'])
    expect((await listWelcomes(pool, { ...phone, device })).welcomes).toEqual([]);
  expect(await bodiesOf(conversation)).toEqual([]);
});

test('deleting a conversation hides its Welcomes at once', async () => {
  const { pool } = database();
  const { conversation, phone } = await invited();
  await decide(pool, conversation, [{ kind: 'delete', id: 'delete', actor: 'alice' }]);
  expect((await listWelcomes(pool, phone)).welcomes).toEqual([]);
});

test('a later Welcome replaces only the earlier Welcome of the device that its ref names', async () => {
  const { pool } = database();
  const { conversation, phone } = await invited();
  const again = await claimed(pool, phone);
  expect(await commit(pool, conversation, 1, { adds: [phone.user], refs: [again] })).toMatchObject({ seq: 2 });
  expect((await listWelcomes(pool, phone)).welcomes).toMatchObject([{ seq: 2, epoch: 2 }]);
  expect((await listWelcomes(pool, { ...phone, device: 'laptop' })).welcomes).toMatchObject([{ seq: 1, epoch: 1 }]);
  expect(await bodiesOf(conversation)).toEqual([1, 2]);
  const last = await claimed(pool, { ...phone, device: 'laptop' });
  expect(await commit(pool, conversation, 2, { adds: [phone.user], refs: [last] })).toMatchObject({ seq: 3 });
  // No device waits for the first Welcome any more.
  expect(await bodiesOf(conversation)).toEqual([2, 3]);
  await checkInvariants(pool, conversation);
});
