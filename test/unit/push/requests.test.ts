import { createECDH } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { PUSH_LIFETIME_MS } from '../../../domain/limits.ts';
import type { PushTarget } from '../../../domain/push.ts';
import { NO_PUSH, type PushSettings, vapidPublicKey } from '../../../process/push-settings.ts';
import { makeWakeRequest } from '../../../push/requests.ts';
import { encryptForSubscription } from '../../../push/web-push.ts';
import type { Wake } from '../../../store/push/deliveries.ts';
import { subscribe, verifyVapid } from '../../../tools/harness/push-endpoint.ts';

const NOW = Date.now();
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const ENDPOINT = 'https://push.example/send/1';

function settings(content: Partial<PushSettings['content']> = {}): PushSettings {
  const key = createECDH('prime256v1');
  key.generateKeys();
  const privateKey = key.getPrivateKey().toString('base64url').padStart(43, 'A');
  return {
    ...NO_PUSH,
    webPush: { privateKey, publicKey: vapidPublicKey(privateKey), subject: 'mailto:ops@example.org', hosts: [] },
    gateway: { url: 'https://gateway.example/wake', secret: SECRET },
    content: { unread: false, conversation: false, ...content },
  };
}

function wake(target: PushTarget, more: Partial<Wake> = {}): Wake {
  const wokenAt = new Date(NOW - 1000);
  const facts = { conversation: 'q83vEjRWeJASNFZ4kBI0Vg', unread: 3 };
  return {
    key: 1,
    id: 'b7c7a3a2-0000-4000-8000-000000000000',
    target,
    isHigh: false,
    wokenAt,
    attempts: 0,
    ...facts,
    ...more,
  };
}

test('Web Push: encrypted for the subscription, signed for its service, and it says nothing but that there is something', async () => {
  const { target, decrypt } = subscribe(ENDPOINT);
  const request = await makeWakeRequest(settings())(wake(target, { isHigh: true }), NOW);
  expect(request).toMatchObject({
    url: ENDPOINT,
    headers: { urgency: 'high', topic: 'parley', ttl: PUSH_LIFETIME_MS / 1000 - 1, 'content-encoding': 'aes128gcm' },
  });
  expect(decrypt(request?.body as Buffer)).toBe('{"type":"wake"}');
  const { authorization } = request?.headers ?? expect.unreachable();
  expect(verifyVapid(String(authorization))).toMatchObject({
    aud: 'https://push.example',
    sub: 'mailto:ops@example.org',
  });
  expect(() => subscribe(ENDPOINT).decrypt(request?.body as Buffer)).toThrow();
});

test('the gateway: signed as Standard Webhooks, the same id in every try, with its token and no user', async () => {
  const target = { kind: 'gateway', token: 'apns-1', app: 'ios' } as const;
  const request = await makeWakeRequest(settings())(wake(target), NOW);
  const { body, headers } = request ?? expect.unreachable();
  const said = new Webhook(SECRET).verify(body, headers as Record<string, string>);
  expect(said).toEqual({
    type: 'wake',
    timestamp: new Date(NOW).toISOString(),
    data: { token: 'apns-1', app: 'ios', urgency: 'normal', ttl: PUSH_LIFETIME_MS / 1000 - 1 },
  });
  expect(headers['webhook-id']).toBe(wake(target).id);
  expect(() => new Webhook(SECRET).verify(`${body.toString()} `, headers as Record<string, string>)).toThrow();
});

test('unread count and conversation id are said only if the configuration says so', async () => {
  const { target, decrypt } = subscribe(ENDPOINT);
  const said = async (content: Partial<PushSettings['content']>): Promise<unknown> =>
    JSON.parse(decrypt((await makeWakeRequest(settings(content))(wake(target), NOW))?.body as Buffer));
  expect(await said({ unread: true })).toEqual({ type: 'wake', unread: 3 });
  expect(await said({ conversation: true })).toEqual({ type: 'wake', conversation: 'q83vEjRWeJASNFZ4kBI0Vg' });
});

test('a kind that the configuration does not have any more makes no request', async () => {
  expect(await makeWakeRequest(NO_PUSH)(wake(subscribe(ENDPOINT).target), NOW)).toBeUndefined();
  expect(await makeWakeRequest(NO_PUSH)(wake({ kind: 'gateway', token: 't' }), NOW)).toBeUndefined();
});

test('the encryption is that of the example in RFC 8291 §5', () => {
  const key = createECDH('prime256v1');
  key.setPrivateKey(Buffer.from('yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw', 'base64url'));
  const keys = {
    p256dh: 'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4',
    auth: 'BTBZMqHH6r4Tts7J_aSIgg',
  };
  const salt = 'DGv6ra1nlYgDCS1FRnbzlw';
  const body = encryptForSubscription('When I grow up, I want to be a watermelon', keys, { key, salt });
  expect(body.toString('base64url')).toBe(
    'DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN',
  );
});
