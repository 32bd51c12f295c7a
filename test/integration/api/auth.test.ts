import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { SignJWT, exportJWK, exportSPKI, generateKeyPair } from 'jose';
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type Authenticate, type TokenCaller, makeAuthenticate } from '../../../api/http/bearer-tokens.ts';
import { makeTokenVerifier } from '../../../api/http/token-verifier.ts';
import { AppError } from '../../../domain/errors.ts';
import { testFolder } from '../../harness/folder.ts';
import { useApi } from '../../harness/api/use-api.ts';
import type { JwtSource, TokenRules } from '../../../process/token-config.ts';
import { AUDIENCE, SECRET, TOKEN_RULES, tokenOf } from '../../../tools/harness/tokens.ts';

type Key = Parameters<SignJWT['sign']>[0];
const secret = new TextEncoder().encode(SECRET);
const hashUser = (user: string): string => `hash of ${user}`;
const nowS = (): number => Math.floor(Date.now() / 1000);

type Claims = Readonly<Record<string, unknown>>;

/** A token with exactly these claims. */
function sign(claims: Claims, key: Key = secret, alg = 'HS256', kid?: string): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) }).sign(key);
}
const good = (): Claims => ({ sub: 'alice', aud: AUDIENCE, exp: nowS() + 60 });

async function authenticateBy(source: JwtSource, rules: Partial<TokenRules> = {}): Promise<Authenticate> {
  const verifier = await makeTokenVerifier({ source, log: pino({ level: 'silent' }) });
  onTestFinished(verifier.close);
  return makeAuthenticate({ verifier, rules: { ...TOKEN_RULES, ...rules }, hashUser });
}

/** The caller, or the detail of the refusal. */
async function outcome(authenticate: Authenticate, header: string | undefined): Promise<TokenCaller | string> {
  try {
    return await authenticate(header);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

describe('HS256 with a secret', () => {
  let authenticate: Authenticate;
  beforeEach(async () => {
    authenticate = await authenticateBy({ kind: 'secret', secret: SECRET });
  });
  const check = async (token: string): Promise<TokenCaller | string> => outcome(authenticate, `Bearer ${token}`);

  test('a token with only sub, aud and exp is accepted', async () => {
    const claims = good();
    expect(await check(await sign(claims))).toEqual({
      user: 'alice',
      device: undefined,
      isOperator: false,
      expiresAt: (claims.exp as number) * 1000,
      pseudonym: 'hash of alice',
    });
  });

  test('device and scope come from the claims of the token', async () => {
    const token = await sign({ ...good(), device: 'phone', scope: 'read operator' });
    expect(await check(token)).toMatchObject({ device: 'phone', isOperator: true });
    expect(await check(await sign({ ...good(), scope: 'operators' }))).toMatchObject({ isOperator: false });
  });

  test.each([
    ['without sub', { sub: undefined }],
    ['without aud', { aud: undefined }],
    ['for another audience', { aud: 'other' }],
    ['without exp', { exp: undefined }],
    ['expired', { exp: nowS() - 1 }],
    ['not valid yet', { nbf: nowS() + 60 }],
    ['with an invalid user id', { sub: '..' }],
    ['with an invalid device id', { device: '' }],
    ['with a device that is no text', { device: 7 }],
  ])('a token %s is refused', async (_, change) => {
    expect(await check(await sign({ ...good(), ...change }))).toMatch(/^unauthenticated: /);
  });

  test('a token without a signature, with a wrong signature or with another algorithm is refused', async () => {
    const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const none = `${encode({ alg: 'none' })}.${encode(good())}.`;
    const forged = await sign(good(), new TextEncoder().encode('another secret of more than 32 characters'));
    const hs512 = await sign(good(), secret, 'HS512');
    const { privateKey } = await generateKeyPair('ES256');
    for (const token of [none, forged, hs512, await sign(good(), privateKey, 'ES256'), 'a.b.c', 'x', `${forged}x`]) {
      expect(await check(token)).toMatch(/^unauthenticated/);
    }
    for (const header of [undefined, '', 'Basic YTpi', await sign(good()), 'Bearer']) {
      expect(await outcome(authenticate, header)).toMatch(/^unauthenticated/);
    }
  });

  test('an accepted token is refused after it expires', async () => {
    const token = await sign({ ...good(), exp: nowS() + 1 });
    expect(await check(token)).toMatchObject({ user: 'alice' });
    // The second answer comes from the cache.
    expect(authenticate(`Bearer ${token}`)).not.toBeInstanceOf(Promise);
    await expect.poll(() => check(token), { timeout: 3000 }).toBe('unauthenticated: The token has expired');
  });
});

test.each(['ES256', 'EdDSA'] as const)('a key file verifies %s and nothing else', async (algorithm) => {
  const { publicKey, privateKey } = await generateKeyPair(algorithm);
  const file = path.join(testFolder(), 'key.pem');
  const pem = await exportSPKI(publicKey);
  writeFileSync(file, pem);
  const source = { kind: 'key-file', file, algorithm } as const;
  const authenticate = await authenticateBy(source);
  const check = async (token: string): Promise<TokenCaller | string> => outcome(authenticate, `Bearer ${token}`);
  expect(await check(await sign(good(), privateKey, algorithm))).toMatchObject({ user: 'alice' });
  // Known attack: use the public key as the secret of an HMAC.
  expect(await check(await sign(good(), new TextEncoder().encode(pem)))).toMatch(/^unauthenticated/);
  const { privateKey: other } = await generateKeyPair(algorithm);
  expect(await check(await sign(good(), other, algorithm))).toMatch(/^unauthenticated/);
});

test('a key file that is none stops the start', async () => {
  const file = path.join(testFolder(), 'key.pem');
  writeFileSync(file, 'no key');
  const source = { kind: 'key-file', file, algorithm: 'ES256' } as const;
  await expect(authenticateBy(source)).rejects.toThrow(/JWT_PUBLIC_KEY_FILE/);
});

test('a JWKS verifies tokens by key id, and no token counts as invalid while the JWKS is unreachable', async () => {
  const keys = await Promise.all([generateKeyPair('ES256'), generateKeyPair('EdDSA')]);
  const jwks = {
    keys: await Promise.all(keys.map(async ({ publicKey }, i) => ({ ...(await exportJWK(publicKey)), kid: `k${i}` }))),
  };
  const server: Server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(jwks));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  const source = { kind: 'jwks', url, algorithms: ['ES256', 'EdDSA'] } as const;
  const authenticate = await authenticateBy(source);
  const check = async (token: string): Promise<TokenCaller | string> => outcome(authenticate, `Bearer ${token}`);
  expect(await check(await sign(good(), keys[0].privateKey, 'ES256', 'k0'))).toMatchObject({ user: 'alice' });
  expect(await check(await sign(good(), keys[1].privateKey, 'EdDSA', 'k1'))).toMatchObject({ user: 'alice' });
  expect(await check(await sign(good(), keys[0].privateKey, 'ES256', 'k9'))).toMatch(/^unauthenticated/);
  expect(await check(await sign(good(), secret, 'HS256', 'k0'))).toMatch(/^unauthenticated/);
  await new Promise((resolve) => server.close(resolve));

  const away = await authenticateBy(source);
  const token = await sign(good(), keys[0].privateKey, 'ES256', 'k0');
  expect(await outcome(away, `Bearer ${token}`)).toMatch(/^unavailable/);
});

describe('over HTTP', () => {
  const { service } = useApi();

  test('401 distinguishes a missing token from a refused one', async () => {
    const missing = await service.ask('GET /v1/conversations');
    expect([missing.status, missing.body.code]).toEqual([401, 'unauthenticated']);
    expect(missing.headers.get('www-authenticate')).toBe('Bearer realm="parley"');
    const refused = await service.ask('GET /v1/conversations', { headers: { authorization: 'Bearer x' } });
    expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="parley", error="invalid_token"');
  });

  test('every route under /v1 needs a token, before its body is read', async () => {
    for (const what of ['POST /v1/conversations', 'POST /v1/conversations/AAAA/messages', 'GET /v1/admin/path']) {
      expect((await service.ask(what, { ...(what.startsWith('POST') ? { raw: '{' } : {}) })).status).toBe(401);
    }
  });

  test('the token itself never reaches the log', async () => {
    const token = await tokenOf('alice');
    await service.ask('GET /v1/conversations', { headers: { authorization: `Bearer ${token}` } });
    expect(JSON.stringify(service.logs())).not.toContain(token.split('.')[2]);
  });
});
