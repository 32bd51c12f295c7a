import type { JWTPayload } from 'jose';
import { expect, test } from 'vitest';
import { type TokenFacts, findClaim, readClaims } from '../../../api/http/claims.ts';
import type { TokenRules } from '../../../process/token-config.ts';
import { TOKEN_RULES } from '../../../tools/harness/tokens.ts';

const NOW_S = 1_800_000_000;

function facts(claims: Readonly<Record<string, unknown>>, rules: Partial<TokenRules> = {}): TokenFacts {
  const payload = { sub: 'alice', aud: 'parley', exp: NOW_S + 60, ...claims } as JWTPayload;
  return readClaims(payload, { ...TOKEN_RULES, ...rules }, NOW_S * 1000);
}

/** The detail of a refusal. */
function refusal(claims: Readonly<Record<string, unknown>>, rules: Partial<TokenRules> = {}): string {
  try {
    facts(claims, rules);
    return 'none';
  } catch (error) {
    return (error as Error).message;
  }
}

test('a claim is found by its name, by a path, and by the longest name that is there', () => {
  const claims = {
    realm_access: { roles: ['a'] },
    'https://app.example/device': 'phone',
    'https://app.example/claims': { device: 'laptop', 'x.y': { z: 1 } },
    'a.b': 'whole',
    a: { b: 'nested', c: null },
  };
  expect(findClaim(claims, 'realm_access.roles')).toEqual(['a']);
  expect(findClaim(claims, 'https://app.example/device')).toBe('phone');
  expect(findClaim(claims, 'https://app.example/claims.device')).toBe('laptop');
  expect(findClaim(claims, 'https://app.example/claims.x.y.z')).toBe(1);
  expect(findClaim(claims, 'a.b')).toBe('whole');
  expect(findClaim(claims, 'a.c')).toBeNull();
  for (const name of [
    'b',
    'a.',
    '.a',
    '.',
    'a.b.c',
    'a.c.d',
    'realm_access.roles.0',
    'constructor',
    '__proto__.x',
    'a.toString',
  ]) {
    expect([name, findClaim(claims, name)]).toEqual([name, undefined]);
  }
});

test.each([
  ['a number', 7],
  ['null', null],
  ['a list', ['alice']],
  ['an object', { alice: true }],
  ['an empty text', ''],
  ['a very long text', 'x'.repeat(256)],
  ['a text with a control character', 'a\nb'],
])('a user or device claim that is %s is refused, and the answer does not repeat it', (_, value) => {
  expect(refusal({ uid: value }, { userClaim: 'uid' })).toBe('The claim uid is not a user id');
  expect(refusal({ device: value })).toBe('The claim device is not a device id');
});

test.each([
  ['scope as a text', { scope: 'read operator' }, ['scope'], true],
  ['scope as a list', { scope: ['read', 'operator'] }, ['scope'], true],
  ['another word', { scope: 'operators' }, ['scope'], false],
  ['a role with a space, which is another role', { roles: ['no operator'] }, ['roles'], false],
  ['scp', { scp: ['operator'] }, ['scope', 'scp'], true],
  ['permissions', { permissions: ['operator'] }, ['permissions'], true],
  ['a path', { realm_access: { roles: ['operator'] } }, ['realm_access.roles'], true],
  ['a name with a colon', { 'cognito:groups': ['operator'] }, ['cognito:groups'], true],
  ['a claim that is not configured', { permissions: ['operator'] }, ['scope'], false],
  ['true', { operator: true }, ['operator'], false],
  ['an object with that name', { scope: { operator: true } }, ['scope'], false],
  ['lists in lists', { scope: [['operator']] }, ['scope'], false],
])('operators: %s', (_, claims, operatorClaims, isOperator) => {
  expect(facts(claims, { operatorClaims }).isOperator).toBe(isOperator);
});

test('a token is for one of the audiences, in the claim that holds it', () => {
  const rules = { audiences: ['a', 'b'], audienceClaim: 'client_id' };
  for (const client_id of ['a', 'b', ['x', 'b']]) expect(facts({ client_id, aud: 'x' }, rules).user).toBe('alice');
  for (const client_id of ['c', '', undefined, null, 7, { a: 1 }, [['a']], 'a b']) {
    expect(refusal({ client_id, aud: 'a' }, rules)).toBe('The claim client_id is missing or not accepted');
  }
});

test('required claims are there, with their value if they have one', () => {
  const required = [
    { claim: 'token_use', value: 'access' },
    { claim: 'tenant', value: undefined },
    { claim: 'mail.verified', value: 'true' },
  ];
  const good = { token_use: 'access', tenant: 0, mail: { verified: true } };
  expect(facts(good, { required }).user).toBe('alice');
  expect(facts({ ...good, token_use: ['access', 'x'] }, { required }).user).toBe('alice');
  expect(refusal({ ...good, token_use: 'id' }, { required })).toMatch(/token_use/);
  expect(refusal({ ...good, tenant: null }, { required })).toMatch(/tenant/);
  expect(refusal({ ...good, mail: { verified: false } }, { required })).toMatch(/mail\.verified/);
});

test('clocks may differ by the tolerance, and a token ends at one moment', () => {
  expect(facts({ iat: NOW_S + 5 }, { clockToleranceMs: 5000 }).expiresAt).toBe((NOW_S + 65) * 1000);
  expect(refusal({ iat: NOW_S + 6 }, { clockToleranceMs: 5000 })).toBe('The claim iat is in the future');
  // A date that nobody can show would break answers that show it.
  expect(new Date(facts({ exp: 1e300 }).expiresAt).getTime()).not.toBeNaN();
});
