import { createECDH, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { MAX_MUTED_CONVERSATIONS } from '../../../domain/limits.ts';
import { NO_PUSH, vapidPublicKey } from '../../../process/push-settings.ts';
import { readRegistrations } from '../../../store/push/targets.ts';
import { subscribe } from '../../../tools/harness/push-endpoint.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { startConversation } from '../../harness/requests.ts';

/** What a device says about its wake-ups. */
const vapid = createECDH('prime256v1');
vapid.generateKeys();
const privateKey = vapid.getPrivateKey().toString('base64url').padStart(43, 'A');
const publicKey = vapidPublicKey(privateKey);
const { database, service } = useApi(() => ({
  push: { ...NO_PUSH, webPush: { privateKey, publicKey, subject: 'mailto:a@b', hosts: ['push.example'] } },
}));
const { target } = subscribe('https://push.example/send/1');

test('a device registers, reads and ends its wake-ups; keys are not shown again', async () => {
  const user = `u-${randomUUID()}`;
  const offered = { kinds: ['web-push'], vapidPublicKey: publicKey, muted: [] };
  expect(await service.ask('GET /v1/push', { user })).toMatchObject({ status: 200, body: offered });
  const put = await service.ask('PUT /v1/push', { user, body: target });
  expect(put).toMatchObject({
    status: 200,
    body: { ...offered, target: { kind: 'web-push', endpoint: target.endpoint } },
  });
  expect(put.text).not.toContain(target.keys.auth);
  expect((await service.ask('GET /v1/devices', { user })).body).toMatchObject({ devices: [{ push: 'web-push' }] });
  expect(await service.ask('DELETE /v1/push', { user })).toMatchObject({ status: 204 });
  expect((await service.ask('GET /v1/push', { user })).body).not.toHaveProperty('target');
  // Again: it is gone already.
  expect(await service.ask('DELETE /v1/push', { user })).toMatchObject({ status: 204 });
});

test('targets that this service does not send to, and what is no target', async () => {
  const user = `u-${randomUUID()}`;
  const put = async (body: unknown): Promise<unknown> => {
    const { status, body: answer } = await service.ask('PUT /v1/push', { user, body });
    return [status, answer.code];
  };
  const { keys } = target;
  expect(await put({ ...target, endpoint: 'https://169.254.169.254/latest' })).toEqual([422, 'push-not-offered']);
  expect(await put({ ...target, endpoint: 'https://push.example.evil/' })).toEqual([422, 'push-not-offered']);
  expect(await put({ kind: 'gateway', token: 't' })).toEqual([422, 'push-not-offered']);
  expect(await put({ ...target, keys: { ...keys, p256dh: 'A'.repeat(87) } })).toEqual([400, 'malformed']);
  expect(await put({ ...target, keys: { ...keys, p256dh: 'A'.repeat(100_000) } })).toEqual([400, 'malformed']);
  expect(await put({ ...target, endpoint: `https://push.example/${'x'.repeat(5000)}` })).toEqual([400, 'malformed']);
  expect(await put({ ...target, url: 'https://evil' })).toEqual([400, 'malformed']);
  expect(await readRegistrations(database().pool, user)).toEqual([]);
});

test('a device mutes conversations of its user, each list in place of the one before', async () => {
  const id = await startConversation(database().pool);
  const other = await startConversation(database().pool, { members: ['alice', 'bob'] });
  const mute = async (...conversations: string[]): Promise<unknown> =>
    (await service.ask('PUT /v1/push/muted', { user: 'carol', body: { conversations } })).body;
  expect(await mute(id, other, id)).toEqual({ conversations: [id] });
  expect((await service.ask('GET /v1/push', { user: 'carol' })).body).toMatchObject({ muted: [id] });
  expect(await mute()).toEqual({ conversations: [] });
  const many = Array.from({ length: MAX_MUTED_CONVERSATIONS + 1 }, () => id);
  expect((await service.ask('PUT /v1/push/muted', { user: 'carol', body: { conversations: many } })).status).toBe(400);
});

test('a message says how it wakes, and nothing else is taken', async () => {
  const id = await startConversation(database().pool, { protocol: 'opaque' });
  const send = async (push: unknown): Promise<number> => {
    const body = { id: randomUUID(), ciphertext: 'AAEC', push };
    return (await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'alice', body })).status;
  };
  expect([await send('none'), await send('high'), await send('normal'), await send(undefined)]).toEqual([
    200, 200, 200, 200,
  ]);
  expect(await send('urgent')).toBe(400);
});
