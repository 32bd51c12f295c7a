import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { type JWK, SignJWT, exportJWK, exportSPKI, generateKeyPair, importJWK } from 'jose';
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type Authenticate, type TokenCaller, makeAuthenticate } from '../../../api/http/bearer-tokens.ts';
import { makeTokenVerifier } from '../../../api/http/token-verifier.ts';
import { AppError } from '../../../domain/errors.ts';
import { testFolder } from '../../harness/folder.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { PUBLIC_KEY_ALGORITHMS } from '../../../process/config-variables.ts';
import type { JwtSource, TokenRules } from '../../../process/token-config.ts';
import { AUDIENCE, SECRET, TOKEN_RULES, tokenOf } from '../../../tools/harness/tokens.ts';

type Key = Parameters<SignJWT['sign']>[0];
const secret = new TextEncoder().encode(SECRET);
const hashUser = (user: string): string => `hash of ${user}`;
// Keys for RSA take their time to make.
const [rsa, otherRsa] = await Promise.all([
  generateKeyPair('RS256', { extractable: true }),
  generateKeyPair('RS256', { extractable: true }),
]);
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
    const token = await sign({ ...good(), exp: nowS() + 5 });
    expect(await check(token)).toMatchObject({ user: 'alice' });
    // The second answer comes from the cache.
    expect(authenticate(`Bearer ${token}`)).not.toBeInstanceOf(Promise);
    await expect.poll(() => check(token)).toBe('unauthenticated: The token has expired');
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

describe('with the JWKS of a provider', () => {
  const kid = 'k';
  let authenticate: Authenticate;
  let publicJwk: JWK;
  let fetched: string[];
  beforeEach(async () => {
    publicJwk = await exportJWK(rsa.publicKey);
    fetched = [];
    const server = createServer((request, response) => {
      fetched.push(request.url ?? '');
      response.end(JSON.stringify({ keys: [{ ...publicJwk, kid }] }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
    authenticate = await authenticateBy({ kind: 'jwks', url, algorithms: ['RS256', 'PS256'] });
  });
  const check = async (token: string): Promise<TokenCaller | string> => outcome(authenticate, `Bearer ${token}`);
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  /** Signed with the genuine key, whatever the header says. */
  const signedBy = async (header: Claims, claims: Claims = good()): Promise<string> => {
    const input = `${encode(header)}.${encode(claims)}`;
    const key = rsa.privateKey;
    const signature = await crypto.subtle.sign('RSASSA-PKCS1-v1_5', key, Buffer.from(input));
    return `${input}.${Buffer.from(signature).toString('base64url')}`;
  };

  test('only the configured algorithms count, and none with a secret', async () => {
    expect(await check(await signedBy({ alg: 'RS256', kid }))).toMatchObject({ user: 'alice' });
    // Known attack: the public key, in each of its forms, as the secret of an HMAC.
    const pem = await exportSPKI(rsa.publicKey);
    for (const text of [pem, pem.trim(), JSON.stringify(publicJwk), publicJwk.n ?? '']) {
      for (const alg of ['HS256', 'HS384', 'HS512']) {
        expect(await check(await sign(good(), new TextEncoder().encode(text), alg, kid))).toMatch(/^unauthenticated/);
      }
    }
    for (const alg of ['none', 'None', 'RS384', 'RS512', 'rs256', 'ES256', 'dir', '', undefined, 7, ['RS256']]) {
      expect([alg, await check(await signedBy({ alg, kid }))]).toEqual([
        alg,
        expect.stringMatching(/^unauthenticated/),
      ]);
    }
  });

  test('a header cannot name a key, and what it calls critical must be known', async () => {
    const jwk = await exportJWK(otherRsa.publicKey);
    const url = 'http://127.0.0.1:1/keys';
    const forged = new SignJWT(good()).setProtectedHeader({ alg: 'RS256', kid, jwk, jku: url, x5u: url });
    expect(await check(await forged.sign(otherRsa.privateKey))).toMatch(/^unauthenticated/);
    expect(fetched).toEqual(['/jwks.json']);
    for (const header of [
      { crit: ['exp'], exp: 1 },
      { crit: ['b64'], b64: false },
      { crit: [] },
      { crit: 'x', x: 1 },
      { b64: false, crit: ['b64', 'x'] },
    ]) {
      expect(await check(await signedBy({ alg: 'RS256', kid, ...header }))).toMatch(/^unauthenticated/);
    }
  });

  test('only access tokens count: their type is absent, JWT or at+jwt', async () => {
    for (const typ of [undefined, 'JWT', 'jwt', 'at+jwt', 'application/at+jwt']) {
      expect(await check(await signedBy({ alg: 'RS256', kid, typ }))).toMatchObject({ user: 'alice' });
    }
    for (const typ of ['logout+jwt', 'dpop+jwt', 'secevent+jwt', 'at+jwt; x', '', 'xjwt']) {
      expect([typ, await check(await signedBy({ alg: 'RS256', kid, typ }))]).toEqual([
        typ,
        expect.stringMatching(/^unauthenticated/),
      ]);
    }
  });

  test('claims about time that are no numbers are refused', async () => {
    for (const wrong of [
      { exp: '9999999999' },
      { exp: null },
      { exp: [9e9] },
      { nbf: 'x' },
      { iat: 'x' },
      { iat: null },
    ]) {
      expect(await check(await signedBy({ alg: 'RS256', kid }, { ...good(), ...wrong }))).toMatch(/^unauthenticated/);
    }
    for (const claims of ['null', '[]', '"alice"', '1', '{', '']) {
      const [head = '', , signature = ''] = (await signedBy({ alg: 'RS256', kid })).split('.');
      const token = `${head}.${Buffer.from(claims).toString('base64url')}.${signature}`;
      expect(await check(token)).toMatch(/^unauthenticated/);
    }
  });
});

test.each(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const)(
  '%s of a JWKS is accepted, and refused where it is not allowed',
  async (alg) => {
    const isRsa = alg.startsWith('RS') || alg.startsWith('PS');
    const pair = isRsa ? rsa : await generateKeyPair(alg);
    const keys = [{ ...(await exportJWK(pair.publicKey)), kid: 'k' }];
    const key = isRsa ? await importJWK(await exportJWK(rsa.privateKey), alg) : pair.privateKey;
    const server = createServer((_, response) => response.end(JSON.stringify({ keys })));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const token = await sign(good(), key, alg, 'k');
    const others = PUBLIC_KEY_ALGORITHMS.filter((one) => one !== alg);
    const all = await authenticateBy({ kind: 'jwks', url, algorithms: PUBLIC_KEY_ALGORITHMS });
    expect(await outcome(all, `Bearer ${token}`)).toMatchObject({ user: 'alice' });
    const without = await authenticateBy({ kind: 'jwks', url, algorithms: others });
    expect(await outcome(without, `Bearer ${token}`)).toMatch(/^unauthenticated/);
  },
);

test('clocks may differ by the tolerance, for exp and nbf, and `iss` is compared where it is configured', async () => {
  const rules = { clockToleranceMs: 5000, issuer: 'https://id.example.org' };
  const authenticate = await authenticateBy({ kind: 'secret', secret: SECRET }, rules);
  const check = async (change: Claims): Promise<TokenCaller | string> =>
    outcome(authenticate, `Bearer ${await sign({ ...good(), iss: rules.issuer, ...change })}`);
  for (const change of [{}, { exp: nowS() - 2 }, { nbf: nowS() + 3 }, { iat: nowS() + 3 }]) {
    expect(await check(change)).toMatchObject({ user: 'alice' });
  }
  for (const change of [{ exp: nowS() - 7 }, { nbf: nowS() + 60 }, { iat: nowS() + 60 }]) {
    expect(await check(change)).toMatch(/^unauthenticated/);
  }
  for (const iss of ['https://id.example.org/', 'https://ID.example.org', '', undefined, null, [rules.issuer]]) {
    expect(await check({ iss })).toBe('unauthenticated: The claim iss is missing or not accepted');
  }
});

test('large tokens do not fill the memory: the cache holds so many characters', async () => {
  const authenticate = await authenticateBy({ kind: 'secret', secret: SECRET });
  const [first = '', ...rest] = await Promise.all(
    Array.from({ length: 20 }, (_, i) => sign({ ...good(), x: `${i}`.padEnd(1_500_000, 'x') })),
  );
  expect(await outcome(authenticate, `Bearer ${first}`)).toMatchObject({ user: 'alice' });
  expect(authenticate(`Bearer ${first}`)).not.toBeInstanceOf(Promise);
  for (const token of rest) await authenticate(`Bearer ${token}`);
  expect(authenticate(`Bearer ${first}`)).toBeInstanceOf(Promise);
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

  test('the device of a header counts for everything that a device is: limits, keys of requests, key packages, streams', async () => {
    const token = await tokenOf('mia');
    const as = (device: string, more = {}): { headers: Record<string, string> } => ({
      headers: { authorization: `Bearer ${token}`, 'parley-device': device, ...more },
    });
    await service.ask('GET /v1/events', as('phone'));
    expect(service.streams.at(-1)).toMatchObject({ target: { user: 'mia', device: 'phone' } });
    // The same Idempotency-Key of another device is another request.
    const key = { 'idempotency-key': 'once' };
    const made = await service.ask('POST /v1/conversations', {
      ...as('phone', key),
      body: { id: 'AAAAAAAAAAAAAAAAAAAAAA', protocol: 'opaque' },
    });
    const other = await service.ask('POST /v1/conversations', {
      ...as('laptop', key),
      body: { id: 'BBBBBBBBBBBBBBBBBBBBBA', protocol: 'opaque' },
    });
    expect([made.status, other.status]).toEqual([201, 201]);
    const devices = (await service.ask('GET /v1/devices', as('laptop'))).body.devices as { device: string }[];
    expect(devices.map(({ device }) => device)).toEqual(['laptop', 'phone']);
    // Another user who names it has another device of that name.
    const spoof = { authorization: `Bearer ${await tokenOf('eve')}`, 'parley-device': 'phone' };
    const ofEve = (await service.ask('GET /v1/devices', { headers: spoof })).body.devices as { device: string }[];
    expect(ofEve.map(({ device }) => device)).toEqual(['phone']);
    for (const [device, status, code] of [
      ['%00', 400, 'malformed'],
      ['', 400, 'malformed'],
    ] as const) {
      const answer = await service.ask('GET /v1/devices', as(device));
      expect([answer.status, answer.body.code]).toEqual([status, code]);
    }
  });

  test('a user has at most a hundred devices that it names itself, and those go on being served', async () => {
    const authorization = `Bearer ${await tokenOf('max')}`;
    const ask = async (device: string): Promise<[number, unknown]> => {
      const headers = { authorization, 'parley-device': device };
      const { status, body } = await service.ask('GET /v1/welcomes', { headers });
      return [status, body.code];
    };
    for (let i = 0; i < 100; i++) expect(await ask(`d${i}`)).toEqual([200, undefined]);
    expect(await ask('one-more')).toEqual([429, 'rate-limited']);
    expect(await ask('d0')).toEqual([200, undefined]);
    // The issuer vouches for a device in its token.
    const vouched = await tokenOf('max', { device: 'vouched' });
    expect((await service.ask('GET /v1/welcomes', { headers: { authorization: `Bearer ${vouched}` } })).status).toBe(
      200,
    );
    const gone = await service.ask('DELETE /v1/devices/d1', { headers: { authorization, 'parley-device': 'd0' } });
    expect(gone.status).toBe(204);
  });

  test('the token itself never reaches the log', async () => {
    const token = await tokenOf('alice');
    await service.ask('GET /v1/conversations', { headers: { authorization: `Bearer ${token}` } });
    expect(JSON.stringify(service.logs())).not.toContain(token.split('.')[2]);
  });
});
