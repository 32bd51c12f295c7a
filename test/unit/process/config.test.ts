import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { VARIABLES } from '../../../process/config-variables.ts';
import { CONFIG_NAMES, loadConfig } from '../../../process/config.ts';
import { packageRoot } from '../../../process/package-root.ts';

const SECRET = 'x'.repeat(32);
const ONLY_COMPOSE = '## Only for Docker Compose';
const USABLE = { DATABASE_URL: 'postgres://localhost/parley', TEMPORAL_ADDRESS: 'localhost:7233', JWT_SECRET: SECRET };

function problemsOf(env: NodeJS.ProcessEnv, part: 'api' | 'worker' | 'migrate' = 'api'): string[] {
  try {
    loadConfig(env, part);
  } catch (error) {
    return String(error)
      .split('\n')
      .filter((line) => line.startsWith('  - '))
      .map((line) => line.slice(4));
  }
  return [];
}

function read(file: string): string {
  return readFileSync(path.join(packageRoot(), file), 'utf8');
}

test('the defaults give a complete, frozen configuration', () => {
  const config = loadConfig(USABLE, 'api');
  expect(config).toMatchObject({
    port: 8080,
    adminPort: 9090,
    temporalNamespace: 'default',
    jwt: { kind: 'secret', secret: SECRET },
    tokenRules: {
      issuer: undefined,
      audiences: ['parley'],
      audienceClaim: 'aud',
      required: [],
      userClaim: 'sub',
      deviceClaim: 'device',
      operatorClaims: ['scope'],
      operatorValue: 'operator',
      clockToleranceMs: 5000,
    },
    maxHeaderBytes: 32_768,
    path: { path: 'auto', rollout: 100 },
    requestDeadlineMs: 10_000,
    idleMs: 600_000,
    epochWindow: 2,
    keyPackageMaxLifetimeMs: undefined,
    workflowStackTraces: false,
    logLevel: 'info',
  });
  expect(Object.isFrozen(config)).toBe(true);
  expect(Object.isFrozen(config.rateLimits)).toBe(true);
});

test('every problem is listed at once', () => {
  const problems = problemsOf({
    TEMPORAL_ADDRESS: 'nowhere',
    PORT: '80x',
    EPOCH_WINDOW: '5',
    IDLE_TIMEOUT: 'soon',
    CONVERSATION_PATH: 'sideways',
    CONVERSATION_PAHT: 'direct',
    RATE_LIMIT_FOO: '1',
    JWT_SECRET: 'short',
    JWT_JWKS_URL: 'ftp://keys',
  });
  expect(problems).toEqual([
    'DATABASE_URL is not set',
    'CONVERSATION_PAHT is unknown: did you mean CONVERSATION_PATH?',
    'RATE_LIMIT_FOO is unknown',
    'exactly one of JWT_SECRET, JWT_JWKS_URL, JWT_PUBLIC_KEY_FILE must be set, or JWT_ISSUER alone: JWT_SECRET and JWT_JWKS_URL are set',
    'PORT must be a whole number from 0 to 65535',
    'TEMPORAL_ADDRESS must be host:port',
    'JWT_SECRET must have at least 32 characters',
    'JWT_JWKS_URL must be a URL that starts with https:// or http://',
    'CONVERSATION_PATH must be one of workflow, direct, auto',
    'IDLE_TIMEOUT must be a duration such as 30s, 10m or 1h, from 1s to 365d',
    'EPOCH_WINDOW must be a whole number from 0 to 4',
  ]);
});

test('origins are taken as browsers send them, and anything else is told with its mend', () => {
  const originsOf = (given?: string): readonly string[] =>
    loadConfig({ ...USABLE, ...(given === undefined ? {} : { CORS_ORIGINS: given }) }, 'api').corsOrigins;
  expect(originsOf()).toEqual([]);
  expect(originsOf('https://app.example.com, http://localhost:5173,capacitor://localhost')).toEqual([
    'https://app.example.com',
    'http://localhost:5173',
    'capacitor://localhost',
  ]);
  const given = [
    ...['*', 'https://*.example.com', 'null', 'app.example.com', 'https://app.example.com/', 'HTTPS://App.example.com'],
    ...['https://app.example.com:443', 'https://me@app.example.com', 'https://bücher.example', 'file:///x', ''],
  ];
  expect(problemsOf({ ...USABLE, CORS_ORIGINS: given.join(',') })).toEqual([
    'CORS_ORIGINS must name each origin: * is not allowed',
    'CORS_ORIGINS must name each origin: * is not allowed',
    'CORS_ORIGINS must not contain null: any page can have that origin, for example in a sandboxed frame',
    'CORS_ORIGINS must contain only origins such as https://app.example.com: "app.example.com" is none',
    'CORS_ORIGINS must contain origins as browsers send them: https://app.example.com and not "https://app.example.com/"',
    'CORS_ORIGINS must contain origins as browsers send them: https://app.example.com and not "HTTPS://App.example.com"',
    'CORS_ORIGINS must contain origins as browsers send them: https://app.example.com and not "https://app.example.com:443"',
    'CORS_ORIGINS must contain origins as browsers send them: https://app.example.com and not "https://me@app.example.com"',
    'CORS_ORIGINS must contain origins as browsers send them: https://xn--bcher-kva.example and not "https://bücher.example"',
    'CORS_ORIGINS must contain only origins such as https://app.example.com: "file:///x" is none',
    'CORS_ORIGINS must contain only origins such as https://app.example.com: "" is none',
  ]);
});

test('problems never show the value of a secret', () => {
  try {
    loadConfig({ ...USABLE, JWT_SECRET: 'hunter2', LOG_SALT: 'pepper' }, 'api');
    expect.unreachable();
  } catch (error) {
    expect(String(error)).not.toMatch(/hunter2|pepper/);
  }
});

test.each([
  ['250ms', undefined],
  ['30s', 30_000],
  ['10m', 600_000],
  ['1h', 3_600_000],
  ['off', undefined],
  ['10', undefined],
])('IDLE_TIMEOUT=%s', (text, ms) => {
  const env = { ...USABLE, IDLE_TIMEOUT: text };
  if (ms === undefined) expect(problemsOf(env)).toHaveLength(1);
  else expect(loadConfig(env).idleMs).toBe(ms);
});

test('only the API needs a source of tokens, and a migration needs only the database', () => {
  const { DATABASE_URL, TEMPORAL_ADDRESS } = USABLE;
  expect(problemsOf({ DATABASE_URL, TEMPORAL_ADDRESS }, 'worker')).toEqual([]);
  expect(problemsOf({ DATABASE_URL }, 'migrate')).toEqual([]);
  expect(problemsOf({ DATABASE_URL, TEMPORAL_ADDRESS }, 'api')).toHaveLength(1);
});

const { JWT_SECRET: _, ...NO_SOURCE } = USABLE;
const ISSUER = 'https://id.example.org/realms/main';
const ALL_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];

test('JWT_ISSUER alone is a source of keys; beside another source it is only compared', () => {
  const alone = loadConfig({ ...NO_SOURCE, JWT_ISSUER: ISSUER }, 'api');
  expect(alone.jwt).toEqual({ kind: 'discovery', issuer: ISSUER, algorithms: ALL_ALGORITHMS });
  const beside = loadConfig(
    { ...NO_SOURCE, JWT_ISSUER: 'us', JWT_JWKS_URL: 'https://k', JWT_ALGORITHMS: 'RS256, ES256' },
    'api',
  );
  expect(beside.jwt).toEqual({ kind: 'jwks', url: 'https://k', algorithms: ['RS256', 'ES256'] });
  expect(beside.tokenRules.issuer).toBe('us');
  expect(loadConfig({ ...USABLE, JWT_ISSUER: 'us' }, 'api').jwt.kind).toBe('secret');
});

test('every mistake about tokens is told at once, with its variable', () => {
  const wrong = {
    JWT_ISSUER: 'id.example.org',
    JWT_ALGORITHMS: 'RS256,HS256',
    JWT_AUDIENCE: 'a,,b',
    JWT_REQUIRED_CLAIMS: 'token_use=access,=x',
    JWT_OPERATOR_CLAIMS: ',',
    JWT_CLOCK_TOLERANCE: '10m',
    JWT_PUBLIC_KEY_ALG: 'HS256',
    JWT_DEVICE_CLAM: 'device',
    JWT_AUDIENCES: 'parley',
    MAX_HEADER_BYTES: '100',
  };
  expect(problemsOf({ ...NO_SOURCE, ...wrong })).toEqual([
    'JWT_DEVICE_CLAM is unknown: did you mean JWT_DEVICE_CLAIM?',
    'JWT_AUDIENCES is unknown: did you mean JWT_AUDIENCE?',
    'JWT_ISSUER must be a URL that starts with https: or http://, without ? and #: it is where the keys are found',
    `JWT_PUBLIC_KEY_ALG must be one of ${ALL_ALGORITHMS.join(', ')}`,
    `JWT_ALGORITHMS must be one of ${ALL_ALGORITHMS.join(', ')}`,
    'JWT_AUDIENCE has an empty part',
    'JWT_REQUIRED_CLAIMS must be names, or name=value, separated by commas',
    'JWT_OPERATOR_CLAIMS has an empty part',
    'JWT_CLOCK_TOLERANCE must be a duration such as 30s, 10m or 1h, from 0s to 300s',
    'MAX_HEADER_BYTES must be a whole number from 8192 to 1048576',
  ]);
  expect(problemsOf({ ...USABLE, JWT_ALGORITHMS: 'RS256' })).toEqual([
    'JWT_ALGORITHMS is for keys of a JWKS, and JWT_SECRET is set: remove one',
  ]);
  expect(problemsOf(NO_SOURCE)).toEqual([
    'exactly one of JWT_SECRET, JWT_JWKS_URL, JWT_PUBLIC_KEY_FILE must be set, or JWT_ISSUER alone: none is set',
  ]);
});

test('what tokens must say is read as lists and claims', () => {
  const { tokenRules } = loadConfig({
    ...USABLE,
    JWT_AUDIENCE: 'a, https://b.example',
    JWT_REQUIRED_CLAIMS: 'token_use=access, tenant, x=a=b',
    JWT_OPERATOR_CLAIMS: 'scope,realm_access.roles',
    JWT_CLOCK_TOLERANCE: '0s',
  });
  expect(tokenRules).toMatchObject({
    audiences: ['a', 'https://b.example'],
    required: [
      { claim: 'token_use', value: 'access' },
      { claim: 'tenant', value: undefined },
      { claim: 'x', value: 'a=b' },
    ],
    operatorClaims: ['scope', 'realm_access.roles'],
    clockToleranceMs: 0,
  });
});

test('an empty variable counts as unset', () => {
  expect(loadConfig({ ...USABLE, JWT_JWKS_URL: '', PORT: ' ' }, 'api').port).toBe(8080);
});

test('TLS to Temporal follows from what is set for it, and contradictions are told', () => {
  const isOn = (env: Record<string, string>): boolean => loadConfig({ ...USABLE, ...env }, 'api').temporalTls.isOn;
  expect(isOn({})).toBe(false);
  expect(isOn({ TEMPORAL_TLS: 'on' })).toBe(true);
  expect(isOn({ TEMPORAL_API_KEY: 'key' })).toBe(true);
  expect(isOn({ TEMPORAL_TLS_CA_FILE: 'ca.pem' })).toBe(true);
  expect(problemsOf({ ...USABLE, TEMPORAL_TLS: 'off', TEMPORAL_API_KEY: 'key' })).toEqual([
    'TEMPORAL_TLS is off, but TEMPORAL_API_KEY needs TLS',
  ]);
  expect(problemsOf({ ...USABLE, TEMPORAL_TLS_CERT_FILE: 'client.pem' })).toEqual([
    'TEMPORAL_TLS_CERT_FILE is set without TEMPORAL_TLS_KEY_FILE',
  ]);
});

test.each([
  ['POSTGRESS_PORT', 'POSTGRES_PORT'],
  ['TEMPORL_PORT', 'TEMPORAL_PORT'],
  ['PARLEY_DATABASE_URL', 'DATABASE_URL'],
  ['PARLEY_PORT', 'PORT'],
  ['PARLEY_DATADIR', 'PARLEY_DATA_DIR'],
  ['PROT', 'PORT'],
  ['database_url', 'DATABASE_URL'],
  ['DATABSE_PASSWORD_FILE', 'DATABASE_PASSWORD_FILE'],
])('%s is a mistake for %s', (name, meant) => {
  expect(problemsOf({ ...USABLE, [name]: '1' })).toEqual([`${name} is unknown: did you mean ${meant}?`]);
});

test('similar variables of other programs are accepted', () => {
  const foreign = {
    HOME: '/home',
    POST: '1',
    host: 'here',
    PARLEY_PORT: 'tcp://10.0.0.1:8080',
    TEMPORAL_TLS_CERT: '1',
    PARLEY_SUPERVISED: '1',
    PARLEY_URL: 'http://localhost',
    PARLEY_SERVICE_HOST: '10.0.0.1',
    PARLEY_PORT_8080_TCP_ADDR: '10.0.0.1',
    TEMPORAL_PORT: 'tcp://10.0.0.2:7233',
    POSTGRES_PASSWORD: 'x',
  };
  expect(problemsOf({ ...USABLE, ...foreign })).toEqual([]);
});

test('.env.example lists every variable with its default and description', () => {
  const [ofParley = ''] = read('.env.example').split(ONLY_COMPOSE);
  const found = [...ofParley.matchAll(/^# (.+)\n#([A-Z_]+)=(.*)$/gm)].map(([, text, name, value]) => ({
    name,
    value: value === '' ? undefined : value,
    text,
  }));
  expect(sorted(found)).toEqual(sorted(documented()));
});

test('the reference page lists every variable with its default and description', () => {
  const rows = read('docs/reference/configuration.md').matchAll(/^\| `([A-Z_]+)` +\| (.*?) +\| (.+?) +\|$/gm);
  const found = [...rows].map(([, name, value, text]) => ({
    name,
    value: value === '' ? undefined : value?.replaceAll('`', ''),
    text: text?.replaceAll('`', ''),
  }));
  expect(sorted(found)).toEqual(sorted(documented()));
});

test('.env.example lists exactly the variables that only the compose file has, with their defaults', () => {
  const used = [...read('docker-compose.yml').matchAll(/\$\{([A-Z_]+):?-([^}]*)\}/g)].map(
    ([, name, value]) => `${name}=${value}`,
  );
  const [ofParley = '', ofCompose = ''] = read('.env.example').split(ONLY_COMPOSE);
  const listed = [...ofCompose.matchAll(/^#([A-Z_]+=.*)$/gm)].map(([, line]) => line);
  const other = [...new Set(used)].filter((line) => !ofParley.includes(`\n#${line.split('=')[0] ?? ''}=`));
  expect(listed.sort()).toEqual(other.sort());
});

function documented(): { name: string; value: unknown; text: string | undefined }[] {
  return CONFIG_NAMES.map((name) => ({
    name,
    value: VARIABLES[name].meta()?.default,
    text: VARIABLES[name].description?.replaceAll('`', ''),
  }));
}

function sorted<T extends { name: string | undefined }>(rows: readonly T[]): T[] {
  return [...rows].sort((a, b) => String(a.name).localeCompare(String(b.name)));
}
