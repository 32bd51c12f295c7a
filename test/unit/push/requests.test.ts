import { createECDH } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { PUSH_LIFETIME_MS } from '../../../domain/limits.ts';
import type { PushTarget } from '../../../domain/push.ts';
import { NO_PUSH, type PushSettings, vapidPublicKey } from '../../../process/push-settings.ts';
import { makeWakeRequest } from '../../../push/requests.ts';
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

test('Web Push: encrypted for the subscription, signed for its service, and it says nothing but that there is something', () => {
  const { target, decrypt } = subscribe(ENDPOINT);
  const request = makeWakeRequest(settings())(wake(target, { isHigh: true }), NOW);
  expect(request).toMatchObject({
    url: ENDPOINT,
    headers: { Urgency: 'high', Topic: 'parley', TTL: PUSH_LIFETIME_MS / 1000 - 1, 'Content-Encoding': 'aes128gcm' },
  });
  expect(decrypt(request?.body as Buffer)).toBe('{"type":"wake"}');
  const { Authorization: authorization } = request?.headers ?? {};
  expect(verifyVapid(authorization as string)).toMatchObject({
    aud: 'https://push.example',
    sub: 'mailto:ops@example.org',
  });
  expect(() => subscribe(ENDPOINT).decrypt(request?.body as Buffer)).toThrow();
});

test('the gateway: signed as Standard Webhooks, the same id in every try, with its token and no user', () => {
  const target = { kind: 'gateway', token: 'apns-1', app: 'ios' } as const;
  const request = makeWakeRequest(settings())(wake(target), NOW);
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

test('unread count and conversation id are said only if the configuration says so', () => {
  const { target, decrypt } = subscribe(ENDPOINT);
  const said = (content: Partial<PushSettings['content']>): unknown =>
    JSON.parse(decrypt(makeWakeRequest(settings(content))(wake(target), NOW)?.body as Buffer));
  expect(said({ unread: true })).toEqual({ type: 'wake', unread: 3 });
  expect(said({ conversation: true })).toEqual({ type: 'wake', conversation: 'q83vEjRWeJASNFZ4kBI0Vg' });
});

test('a kind that the configuration does not have any more makes no request', () => {
  expect(makeWakeRequest(NO_PUSH)(wake(subscribe(ENDPOINT).target), NOW)).toBeUndefined();
  expect(makeWakeRequest(NO_PUSH)(wake({ kind: 'gateway', token: 't' }), NOW)).toBeUndefined();
});
