import { readFileSync } from 'node:fs';
import { inject, afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { useDatabase } from '../../harness/database.ts';
import { type LocalProvider, startLocalProvider } from '../../harness/identity/local-provider.ts';
import { useService } from '../../harness/service.ts';
import { startApi } from '../../../tools/harness/processes.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

// A real provider, and a real API process that knows nothing of it but JWT_ISSUER.

let provider: LocalProvider;
beforeAll(async () => {
  provider = await startLocalProvider(['RS256', 'ES384', 'EdDSA']);
});
afterAll(() => provider.leave());
const database = useDatabase();
const env = (): Record<string, string> => ({
  JWT_SECRET: '',
  JWT_ISSUER: provider.issuer,
  CONVERSATION_PATH: 'direct',
});
const service = useService(() => ({ apis: 1, workers: 0, env: env() }), database);

interface Asked {
  readonly status: number;
  readonly code: unknown;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function ask(
  token: string,
  headers: Readonly<Record<string, string>> = {},
  url = service().apis[0]?.url ?? '',
): Promise<Asked> {
  const response = await fetch(`${url}/v1/devices`, { headers: { authorization: `Bearer ${token}`, ...headers } });
  const body = (await response.json()) as Record<string, unknown>;
  return { status: response.status, code: body.code, headers: response.headers, body };
}
const statusOf = async (token: string): Promise<number> => (await ask(token)).status;
const currentOf = ({ body }: Asked): unknown =>
  (body.devices as { device: string; current: boolean }[]).find(({ current }) => current)?.device;
const metric = async (name: string): Promise<number> => {
  const text = await (await fetch(`${service().apis[0]?.url ?? ''}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
};
const health = async (): Promise<Record<string, unknown>> =>
  (await (await fetch(`${service().apis[0]?.url ?? ''}/health`)).json()) as Record<string, unknown>;
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

test('JWT_ISSUER alone is enough: the tokens of the provider are accepted, whatever its algorithm', async () => {
  for (const alg of ['RS256', 'ES384', 'EdDSA']) {
    expect([alg, await statusOf(await provider.token('alice', alg))]).toEqual([alg, 200]);
  }
  expect(currentOf(await ask(await provider.token('alice', 'RS256', { device: 'laptop' })))).toBe('laptop');
});

test('what the provider signed for others, or for another purpose, is refused', async () => {
  const { issuer } = provider;
  const good = { iss: issuer, sub: 'alice', aud: 'parley', exp: inSeconds(60) };
  expect(await statusOf(await provider.sign(good))).toBe(200);
  const refused = {
    'for another audience, like an ID token': await provider.sign({ ...good, aud: 'the-app', nonce: 'n' }),
    'of another issuer': await provider.sign({ ...good, iss: `${issuer}/` }),
    'of no issuer': await provider.sign({ ...good, iss: undefined }),
    'a logout token': await provider.sign(good, { typ: 'logout+jwt' }),
    'without a signature': `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await provider.sign(good)).split('.')[1] ?? ''}.`,
  };
  for (const [what, token] of Object.entries(refused)) expect([what, await statusOf(token)]).toEqual([what, 401]);
});

test('two installs without a device claim name themselves, and neither is `default`', async () => {
  const token = await provider.token('bob');
  expect(currentOf(await ask(token))).toBe('default');
  expect(currentOf(await ask(token, { 'parley-device': 'phone' }))).toBe('phone');
  expect(currentOf(await ask(token, { 'parley-device': encodeURIComponent('Büro 1') }))).toBe('Büro 1');
  const named = await provider.token('bob', 'RS256', { device: 'phone' });
  expect(currentOf(await ask(named, { 'parley-device': 'phone' }))).toBe('phone');
  const other = await ask(named, { 'parley-device': 'laptop' });
  expect([other.status, other.code]).toEqual([403, 'identity-mismatch']);
});

test('after a rotation new tokens are accepted at once, and those of a key that is gone no more', async () => {
  const before = await provider.token('alice');
  expect(await statusOf(before)).toBe(200);
  await provider.rotate();
  expect(await statusOf(await provider.token('alice'))).toBe(200);
  // Again: no time has to pass between two rotations.
  await provider.rotate();
  expect(await statusOf(await provider.token('alice'))).toBe(200);
  expect(await statusOf(before)).toBe(401);
});

test('made-up key ids make the provider no work, hold up nobody else, and hide no rotation', async () => {
  const known = await provider.token('alice');
  expect(await statusOf(known)).toBe(200);
  const claims = { iss: provider.issuer, sub: 'alice', aud: 'parley', exp: inSeconds(60) };
  const askedBefore = provider.asked();
  const forged = await Promise.all(
    Array.from({ length: 100 }, (_, i) => provider.sign(claims, { kid: `made-up-${i}` })),
  );
  const flood = Promise.all(forged.map(statusOf));
  expect(await statusOf(known)).toBe(200);
  await provider.rotate(true);
  expect(await statusOf(await provider.token('alice'))).toBe(200);
  expect(new Set(await flood)).toEqual(new Set([401]));
  // Two requests for each fetch: the discovery document and the keys.
  expect(provider.asked() - askedBefore).toBeLessThan(20);
});

test('while the provider is away known keys count, unknown ones are 503, and everybody is told', async () => {
  const known = await provider.token('alice');
  expect(await statusOf(known)).toBe(200);
  await provider.rotate(true);
  const unseen = await provider.token('alice');
  const old = await provider.sign({ iss: provider.issuer, sub: 'alice', aud: 'parley', exp: inSeconds(-600) });
  await provider.leave();
  const away = await ask(unseen);
  expect([away.status, away.code]).toEqual([503, 'unavailable']);
  expect(Number(away.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await statusOf(known)).toBe(200);
  // It was valid once, so its client must get a new one; no outage may tell it to wait.
  expect(await statusOf(old)).toBe(401);
  await waitUntil(async () => (await health()).status === 'degraded', { what: 'the health says it' });
  expect(await health()).toMatchObject({ checks: { tokens: 'degraded' } });
  expect(await metric('parley_token_key_fetches_total{outcome="failed"}')).toBeGreaterThan(0);
  const log = readFileSync(service().apis[0]?.logFile ?? '', 'utf8');
  expect(log).toContain('the keys of the identity provider cannot be fetched');

  const options = { databaseUrl: database().url, temporalAddress: inject('temporalAddress'), taskQueue: 'identity' };
  // A process that starts now has no keys: it lives, is not ready, and says why to whoever asks it all the same.
  const started = await startApi({ ...options, env: env() }, false);
  onTestFinished(async () => {
    await started.stop();
  });
  expect((await fetch(`${started.url}/health/ready`)).status).toBe(503);
  expect((await ask(known, {}, started.url)).code).toBe('unavailable');

  await provider.comeBack();
  await waitUntil(async () => (await statusOf(unseen)) === 200, { what: 'the new key is known' });
  await waitUntil(async () => (await fetch(`${started.url}/health/ready`)).status === 200, { what: 'it is ready' });
  expect((await ask(unseen, {}, started.url)).status).toBe(200);
});

test('a provider that is another one than JWT_ISSUER says stops the start, with both names', async () => {
  const options = { databaseUrl: database().url, temporalAddress: inject('temporalAddress'), taskQueue: 'identity' };
  const wrong = startApi({ ...options, env: { ...env(), JWT_ISSUER: `${provider.issuer}/` } });
  await expect(wrong).rejects.toThrow(/JWT_ISSUER is http\S+\/, but .* they must be equal, letter by letter/);
});

test('headers above the limit are a problem, over the real port', async () => {
  const headers = { authorization: `Bearer ${'a'.repeat(20_000)}` };
  const url = `${service().apis[0]?.url ?? ''}/v1/devices`;
  expect((await fetch(url, { headers })).status).toBe(401);
  const refused = await fetch(url, { headers: { ...headers, 'x-more': 'b'.repeat(20_000) } });
  expect(refused.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  expect(await refused.json()).toMatchObject({ status: 431, code: 'headers-too-large', limit: 32_768 });
});
