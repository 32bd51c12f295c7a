import { expect, test } from 'vitest';
import { NO_PUSH, type PushSettings } from '../../../process/push-settings.ts';
import { areSubscriptionKeys, targetProblem } from '../../../push/target-check.ts';
import { subscribe } from '../../../tools/harness/push-endpoint.ts';

function settings(...hosts: string[]): PushSettings {
  return { ...NO_PUSH, webPush: { publicKey: '', privateKey: '', subject: 'mailto:a@b', hosts } };
}

const problem = (endpoint: string, ...hosts: string[]): string | undefined =>
  targetProblem(settings(...hosts), subscribe(endpoint).target);

test('endpoints: https on the default port, at hosts that the configuration allows', () => {
  expect(problem('https://updates.push.services.mozilla.com/wpush/v2/x', 'push.services.mozilla.com')).toBeUndefined();
  expect(problem('https://push.example/x', 'push.example')).toBeUndefined();
  for (const endpoint of [
    'https://evilpush.example/x',
    'https://push.example.evil/x',
    'https://push.example@evil/x',
    'https://evil/https://push.example',
    'http://push.example/x',
    'https://push.example:8443/x',
    'https://u:p@push.example/x',
    'https://127.0.0.1/x',
    'https://[::1]/x',
    'file:///etc/passwd',
    'push.example',
  ]) {
    expect(problem(endpoint, 'push.example'), endpoint).toBeDefined();
  }
});

test('plain HTTP and other ports only for addresses that the configuration names: development', () => {
  expect(problem('http://127.0.0.1:9/x', '127.0.0.1')).toBeUndefined();
  expect(problem('http://127.0.0.2:9/x', '127.0.0.1')).toBeDefined();
});

test('a kind that is not set up is not offered', () => {
  expect(targetProblem(NO_PUSH, { kind: 'gateway', token: 't' })).toContain('no push gateway');
  expect(targetProblem(NO_PUSH, subscribe('https://push.example').target)).toContain('no Web Push');
});

test('keys of a subscription are a point of the curve and 16 bytes', () => {
  const { keys } = subscribe('https://push.example').target;
  expect(areSubscriptionKeys(keys)).toBe(true);
  expect(areSubscriptionKeys({ ...keys, auth: 'AAAA' })).toBe(false);
  const offCurve = Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 1)]).toString('base64url');
  expect(areSubscriptionKeys({ ...keys, p256dh: offCurve })).toBe(false);
  expect(areSubscriptionKeys({ ...keys, p256dh: Buffer.alloc(65).toString('base64url') })).toBe(false);
});
