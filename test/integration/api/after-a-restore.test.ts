import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { makeCutOffs } from '../../../api/services/cut-offs.ts';
import { beginOffBoarding } from '../../../store/off-boarding/off-boardings.ts';
import type { DeviceId, UserId } from '../../../domain/ids.ts';
import { makeTalk } from '../../harness/streams/talk.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';

// What an API process keeps in memory is that of a database that is gone.
const { database, service } = useApi();
const other = useApi(() => ({}), database);
const talk = makeTalk(service);
const sayRestored = (): Promise<unknown> => service.ask('POST /v1/admin/restored', { user: 'operator', body: {} });

test('a conversation that was lost can be made again, of another kind', async () => {
  const id = await talk.create('alice', 'bob');
  await talk.expect(`POST /v1/conversations/${id}/signals`, 'alice', { data: base64('typing') });
  await talk.say(id, 'bob');
  await database().pool.query(`update conversation set id = $2 where id = $1`, [
    id,
    randomBytes(18).toString('base64url'),
  ]);
  await sayRestored();

  await makeTalk(other.service).expect('POST /v1/conversations', 'alice', { id, policy: { externalJoin: 'nobody' } });
  const frame = { data: base64(Buffer.of(0, 1, 0, 2)) };
  const refused = await service.ask(`POST /v1/conversations/${id}/signals`, { user: 'alice', body: frame });
  expect(refused.body.code).toBe('wrong-content-type');
  // Who was a member of the lost one knows nothing of this one.
  expect((await service.ask(`GET /v1/conversations/${id}/messages`, { user: 'bob' })).body.code).toBe('not-found');
});

test('a device that was lost is recorded with its next request', async () => {
  const devices = async (): Promise<unknown> => (await talk.expect('GET /v1/devices', 'cem')).devices;
  await expect.poll(devices).toMatchObject([{ device: 'default' }]);
  await database().pool.query(`delete from device where user_id = 'cem'`);
  expect(await devices()).toEqual([]);
  await sayRestored();
  await expect.poll(devices).toMatchObject([{ device: 'default' }]);
});

test('cut-offs are those of the restored database', async () => {
  const { pool } = database();
  const cutOffs = makeCutOffs(pool);
  const isRefused = (user: string): boolean => cutOffs.refuses({ user: user as UserId, device: 'default' as DeviceId });
  for (const user of ['lost', 'undone']) {
    await beginOffBoarding(pool, { user, device: '', actor: 'operator' }, 'account-closed');
  }
  await pool.query(
    `update off_boarding set ended_at = clock_timestamp(), changed_at = clock_timestamp() where user_id = 'undone'`,
  );
  await cutOffs.look();
  expect(['lost', 'undone'].map(isRefused)).toEqual([true, false]);

  await pool.query(`delete from off_boarding where user_id = 'lost'`);
  await pool.query(
    `update off_boarding set ended_at = null, changed_at = changed_at - interval '1 hour' where user_id = 'undone'`,
  );
  await cutOffs.look();
  expect(['lost', 'undone'].map(isRefused)).toEqual([true, false]);
  cutOffs.forgetAll();
  await cutOffs.look();
  expect(['lost', 'undone'].map(isRefused)).toEqual([false, true]);
});
