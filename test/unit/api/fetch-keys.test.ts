import { type RequestListener, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair } from 'jose';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { keysAt, keysOf } from '../../../api/http/fetch-keys.ts';

const jwk = await exportJWK((await generateKeyPair('ES256')).publicKey);
const never = new AbortController().signal;

let answer: RequestListener = () => undefined;
const server = createServer((request, response) => answer(request, response));
let url = '';
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const says =
  (body: unknown, status = 200): RequestListener =>
  (_, response) =>
    response.writeHead(status, { location: '/elsewhere' }).end(typeof body === 'string' ? body : JSON.stringify(body));

test.each<[string, RequestListener, RegExp]>([
  ['no keys', says({ keys: [] }), /has no public key for signatures$/],
  ['a secret only', says({ keys: [{ kty: 'oct', k: 'AAAA' }] }), /has no public key for signatures$/],
  ['keys for encryption only', says({ keys: [{ ...jwk, use: 'enc' }] }), /has no public key for signatures$/],
  ['keys that are none', says({ keys: ['x', jwk] }), /has no public key for signatures$/],
  ['null', says('null'), /has no public key for signatures$/],
  ['a page', says('<html>'), /cannot be read: .*JSON/],
  ['an error', says({ keys: [jwk] }, 500), /cannot be read: the status is 500$/],
  ['a redirection', says('', 302), /cannot be read: the status is 302$/],
  ['too much', says({ keys: [jwk], x: 'x'.repeat(1024 * 1024) }), /cannot be read: it has more than 1048576 bytes$/],
])('a JWKS with %s is none, so that earlier keys stay', async (_, listener, reason) => {
  answer = listener;
  await expect(keysAt(`${url}/jwks`)(never)).rejects.toThrow(reason);
});

test('one that does not answer is given up, also in the middle of its answer', async () => {
  for (const listener of [
    () => undefined,
    (_: unknown, response: { write: (text: string) => void }) => response.write('{'),
  ]) {
    answer = listener;
    await expect(keysAt(`${url}/jwks`)(AbortSignal.timeout(50))).rejects.toThrow(/it does not answer in time/);
  }
});

test('the discovery document names the issuer as it is configured, and where the keys are', async () => {
  const paths: string[] = [];
  let document: unknown = { issuer: url, jwks_uri: `${url}/keys` };
  answer = (request, response) => {
    paths.push(request.url ?? '');
    says(request.url === '/keys' ? { keys: [jwk] } : document)(request, response);
  };
  expect((await keysOf(url)(never)).keys).toHaveLength(1);
  expect(paths).toEqual(['/.well-known/openid-configuration', '/keys']);
  // As Auth0 has it: with a slash in the name, and none doubled in the path.
  document = { issuer: `${url}/`, jwks_uri: `${url}/keys` };
  expect((await keysOf(`${url}/`)(never)).keys).toHaveLength(1);
  await expect(keysOf(url)(never)).rejects.toThrow(/JWT_ISSUER is http.* says http.*\/: they must be equal/);
  for (const [wrong, reason] of [
    [{ jwks_uri: `${url}/keys` }, /names no issuer/],
    [{ issuer: url }, /has no jwks_uri/],
    [{ issuer: url, jwks_uri: '/keys' }, /has no jwks_uri/],
    ['[]', /names no issuer/],
  ] as const) {
    document = wrong;
    await expect(keysOf(url)(never)).rejects.toThrow(reason);
  }
});

test('a provider with TLS has its keys behind TLS too', async () => {
  const issuer = 'https://id.example.org';
  vi.stubGlobal('fetch', () => Promise.resolve(Response.json({ issuer, jwks_uri: 'http://id.example.org/keys' })));
  onTestFinished(() => void vi.unstubAllGlobals());
  await expect(keysOf(issuer)(never)).rejects.toThrow(/names a jwks_uri without TLS$/);
});
