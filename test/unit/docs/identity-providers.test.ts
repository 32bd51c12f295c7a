import type { JWTPayload } from 'jose';
import { expect, test } from 'vitest';
import { readClaims } from '../../../api/http/claims.ts';
import { type ApiConfig, loadConfig } from '../../../process/config.ts';
import { read } from '../../harness/markdown.ts';

// Each block of the page is a working configuration for a token of that provider, as its documentation shows it.

const PAGE = 'docs/how-to/identity-providers.md';
const NOW_S = 1_800_000_000;
const TIMES = { iat: NOW_S - 10, exp: NOW_S + 3590 };
const NEEDED = { DATABASE_URL: 'postgres://localhost/parley', TEMPORAL_ADDRESS: 'localhost:7233' };

interface Example {
  readonly access: JWTPayload;
  readonly user: string;
  readonly device?: string;
  /** What an operator's token has beside or instead. */
  readonly operator: JWTPayload;
  /** Tokens that the provider gives for another purpose: what they have beside or instead. */
  readonly others: Readonly<Record<string, JWTPayload>>;
}

const EXAMPLES: Readonly<Record<string, Example>> = {
  Keycloak: {
    access: {
      ...TIMES,
      jti: 'onrtac:b5cd0e1e-0c1c-5a3f-1d6e-1f4d83bd6ff8',
      iss: 'https://keycloak.example.org/realms/main',
      aud: ['parley', 'account'],
      sub: 'f3a6c0de-4c1b-4fd4-9a3e-0b9d6b0b8c57',
      typ: 'Bearer',
      azp: 'app',
      sid: '1d2ad7c4-6c43-4e0b-9ce2-6b1f0e6a2f07',
      acr: '1',
      'allowed-origins': ['https://app.example.org'],
      realm_access: { roles: ['offline_access', 'default-roles-main', 'uma_authorization'] },
      resource_access: { account: { roles: ['manage-account', 'view-profile'] } },
      scope: 'openid profile email',
      email_verified: true,
      preferred_username: 'alice',
    },
    user: 'f3a6c0de-4c1b-4fd4-9a3e-0b9d6b0b8c57',
    operator: { realm_access: { roles: ['offline_access', 'parley-operator'] } },
    others: {
      'ID token': { typ: 'ID', aud: 'app', realm_access: undefined },
      'ID token whose audience was mapped too': { typ: 'ID' },
      'token without the audience mapper': { aud: 'account' },
    },
  },
  Auth0: {
    access: {
      ...TIMES,
      iss: 'https://example.eu.auth0.com/',
      sub: 'auth0|65f0c1b2a3d4e5f60718293a',
      aud: ['https://parley.example.org', 'https://example.eu.auth0.com/userinfo'],
      azp: 'my_client_id',
      scope: 'openid profile offline_access',
      permissions: [],
      'https://app.example.org/device': 'phone',
    },
    user: 'auth0|65f0c1b2a3d4e5f60718293a',
    device: 'phone',
    operator: { permissions: ['parley:operator'] },
    others: { 'ID token': { aud: 'my_client_id', nonce: 'n', permissions: undefined } },
  },
  'Entra ID': {
    access: {
      ...TIMES,
      aud: '6e74172b-be56-4843-9ff4-e66a39bb12e3',
      iss: 'https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0',
      nbf: NOW_S - 10,
      aio: 'AXQAi/8IAAAAtAaZLo3ChMif6KOnttRB7eBq4/DccQzjcJGxPYy/C3jDaNGxXd6wNIIVGRghNRnwJ1lOcAnNZcjvkoyrFxCttv33140RioOFJ4bCCGVuoCag1uOTT22222gHwLPYQ/uf79QX+0KIijdrmp69RctzmQ==',
      azp: '6e74172b-be56-4843-9ff4-e66a39bb12e3',
      azpacr: '0',
      name: 'Abe Lincoln',
      oid: '690222be-ff1a-4d56-abd1-7e4f7d38e474',
      preferred_username: 'abeli@example.org',
      rh: 'I',
      scp: 'access_as_user',
      sub: 'HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ',
      tid: '9188040d-6c67-4c5b-b112-36a304b66dad',
      uti: 'fqiBqXLPj0eQa82S-IYFAA',
      ver: '2.0',
    },
    user: '690222be-ff1a-4d56-abd1-7e4f7d38e474',
    operator: { roles: ['Parley.Operator'] },
    others: { 'ID token of the same registration': { scp: undefined, azp: undefined, nonce: 'n' } },
  },
  Okta: {
    access: {
      ...TIMES,
      ver: 1,
      jti: 'AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE',
      iss: 'https://example.okta.com/oauth2/default',
      aud: 'api://default',
      cid: '0oa1a2b3c4d5e6f7g8h9',
      uid: '00ujmkLgagxeRrAg20g3',
      scp: ['openid', 'profile'],
      groups: ['Everyone'],
      sub: 'alice@example.org',
    },
    user: '00ujmkLgagxeRrAg20g3',
    operator: { groups: ['Everyone', 'parley-operators'] },
    others: { 'ID token': { aud: '0oa1a2b3c4d5e6f7g8h9', cid: undefined, uid: undefined, scp: undefined } },
  },
  Cognito: {
    access: {
      ...TIMES,
      sub: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee',
      device_key: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee',
      iss: 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_EXAMPLE01',
      version: 2,
      client_id: '1example23456789',
      origin_jti: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee',
      event_id: '64f513be-32db-42b0-b78e-b02127b4f463',
      token_use: 'access',
      scope: 'phone openid profile resourceserver.1/appclient2 email',
      auth_time: NOW_S - 10,
      jti: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee',
      username: 'my-test-user',
    },
    user: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee',
    operator: { 'cognito:groups': ['parley-operators', 'others'] },
    others: {
      'ID token': { aud: '1example23456789', client_id: undefined, token_use: 'id' },
      'token for another app': { client_id: 'another0app' },
    },
  },
  Firebase: {
    access: {
      ...TIMES,
      iss: 'https://securetoken.google.com/example-project',
      aud: 'example-project',
      auth_time: NOW_S - 10,
      user_id: 'ZzYyXxWwVvUuTtSsRrQq',
      sub: 'ZzYyXxWwVvUuTtSsRrQq',
      email: 'alice@example.org',
      email_verified: false,
      firebase: { identities: { email: ['alice@example.org'] }, sign_in_provider: 'password' },
    },
    user: 'ZzYyXxWwVvUuTtSsRrQq',
    operator: { roles: ['parley-operator'] },
    others: { 'token of another project': { aud: 'other-project' } },
  },
};

/** The block of each provider on the page, as it stands there. */
function blocks(): Map<string, Record<string, string>> {
  const sections = read(PAGE).split(/^## /m).slice(1);
  return new Map(
    sections.flatMap((section): [string, Record<string, string>][] => {
      const block = /^```properties\n([^`]+)```$/m.exec(section)?.[1];
      if (block === undefined) return [];
      const lines = block.trim().split('\n');
      const variables = lines.map((line): [string, string] => [
        line.slice(0, line.indexOf('=')),
        line.slice(line.indexOf('=') + 1),
      ]);
      return [[section.slice(0, section.indexOf('\n')), Object.fromEntries(variables)]];
    }),
  );
}

const configOf = (provider: string): ApiConfig => loadConfig({ ...NEEDED, ...blocks().get(provider) }, 'api');

test('the page has a block for each provider, and each provider an example', () => {
  expect([...blocks().keys()]).toEqual(Object.keys(EXAMPLES));
});

test.each(Object.entries(EXAMPLES))('the block of %s takes its tokens as they are', (provider, example) => {
  const { jwt, tokenRules } = configOf(provider);
  expect(jwt).toMatchObject({ kind: 'discovery', issuer: example.access.iss });
  const facts = (more: JWTPayload = {}): unknown =>
    readClaims(JSON.parse(JSON.stringify({ ...example.access, ...more })) as JWTPayload, tokenRules, NOW_S * 1000);
  expect(facts()).toEqual({
    user: example.user,
    device: example.device,
    isOperator: false,
    expiresAt: (NOW_S + 3595) * 1000,
    issuedAt: expect.any(Number) as number,
  });
  expect(facts(example.operator)).toMatchObject({ user: example.user, isOperator: true });
  for (const [what, more] of Object.entries(example.others)) {
    expect(() => facts(more), what).toThrow(/is missing or not accepted/);
  }
});
