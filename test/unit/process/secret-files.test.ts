import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { loadConfig } from '../../../process/config.ts';
import { SECRET_FILE_NAMES, SECRET_NAMES } from '../../../process/secret-files.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'parley-secrets-'));
afterAll(() => rmSync(folder, { recursive: true }));
const SERVERS = { DATABASE_URL: 'postgres://parley@db:5432/parley', TEMPORAL_ADDRESS: 'temporal:7233' };

function fileWith(content: string): string {
  const file = path.join(mkdtempSync(path.join(folder, 'one-')), 'secret');
  writeFileSync(file, content);
  return file;
}

test('the secrets are known, and each has a variable for a file', () => {
  expect(SECRET_NAMES).toEqual(expect.arrayContaining(['DATABASE_PASSWORD', 'DATABASE_URL', 'JWT_SECRET', 'LOG_SALT']));
  expect(SECRET_FILE_NAMES).toContain('JWT_SECRET_FILE');
  expect(SECRET_FILE_NAMES).not.toContain('JWT_PUBLIC_KEY_FILE');
});

test('secrets come from files, without the line break at the end', () => {
  const config = loadConfig(
    {
      ...SERVERS,
      DATABASE_PASSWORD_FILE: fileWith('hunter2\n'),
      JWT_SECRET_FILE: fileWith(`${'s'.repeat(32)}\n`),
      LOG_SALT_FILE: fileWith('t'.repeat(16)),
    },
    'api',
  );
  expect(config.databaseUrl).toBe('postgres://parley:hunter2@db:5432/parley');
  expect(config.jwt).toEqual({ kind: 'secret', secret: 's'.repeat(32) });
  expect(config.logSalt).toBe('t'.repeat(16));
});

test('the whole URL may come from a file', () => {
  const config = loadConfig({ ...SERVERS, DATABASE_URL: '', DATABASE_URL_FILE: fileWith('postgres://a:b@c/d') });
  expect(config.databaseUrl).toBe('postgres://a:b@c/d');
});

test.each(['p@ss:w/rd?#', '100%', '%41', 'ä ö', '"\'\\{}'])(
  'the password %s reaches the driver as it is',
  (password) => {
    const { databaseUrl } = loadConfig({ ...SERVERS, DATABASE_PASSWORD: password });
    expect(new pg.Client({ connectionString: databaseUrl })).toMatchObject({
      user: 'parley',
      password,
      host: 'db',
      database: 'parley',
    });
  },
);

test('a replica has the password of the primary, unless its URL has one', () => {
  const of = (url: string): string | undefined =>
    loadConfig({ ...SERVERS, DATABASE_PASSWORD: 'p@ss', DATABASE_REPLICA_URL: url }).databaseReplicaUrl;
  expect(new pg.Client({ connectionString: of('postgres://reader@replica/parley') })).toMatchObject({
    user: 'reader',
    password: 'p@ss',
    host: 'replica',
  });
  expect(of('postgres://reader:own@replica/parley')).toBe('postgres://reader:own@replica/parley');
});

test('problems name the variable, and never show a value', () => {
  const secret = 'never-shown';
  const missing = path.join(folder, 'nowhere');
  const load = (env: NodeJS.ProcessEnv): string => {
    try {
      loadConfig({ ...SERVERS, ...env });
      return 'accepted';
    } catch (error) {
      return String(error);
    }
  };
  const said = [
    load({ JWT_SECRET_FILE: missing }),
    load({ JWT_SECRET_FILE: fileWith(' \n') }),
    load({ LOG_SALT: secret, LOG_SALT_FILE: fileWith(secret) }),
    load({ DATABASE_PASSWORD: secret, DATABASE_URL: `postgres://parley:${secret}@db/parley` }),
    load({ DATABASE_PASSWORD: secret, DATABASE_URL: 'postgres:///parley?host=/run' }),
    load({ DATABASE_URL_FILE: fileWith(`mysql://${secret}`), DATABASE_URL: '' }),
  ];
  expect(said[0]).toContain('JWT_SECRET_FILE cannot be read: ENOENT');
  expect(said[1]).toContain('JWT_SECRET_FILE is an empty file');
  expect(said[2]).toContain('LOG_SALT and LOG_SALT_FILE are both set');
  expect(said[3]).toContain('DATABASE_URL has a password already');
  expect(said[4]).toContain('DATABASE_URL has no user and host');
  expect(said[5]).toContain('DATABASE_URL must be a URL');
  expect(said.join('\n')).not.toContain(secret);
});

test('a misspelled variable for a file is refused', () => {
  expect(() => loadConfig({ ...SERVERS, JWT_SECRET_FIEL: 'x' })).toThrow('did you mean JWT_SECRET_FILE?');
});

test('what is wrong with TLS to the database is said before anything connects', () => {
  const ca = fileWith('a certificate');
  const missing = path.join(folder, 'nowhere.pem');
  const load = (env: NodeJS.ProcessEnv): string => {
    try {
      return loadConfig({ ...SERVERS, ...env }).database.main.caFile ?? 'none';
    } catch (error) {
      return String(error);
    }
  };
  expect(load({ DATABASE_TLS_CA_FILE: ca })).toBe(ca);
  expect(load({ DATABASE_TLS_CA_FILE: missing })).toContain(
    `DATABASE_TLS_CA_FILE names a file that cannot be read: ${missing}`,
  );
  const url = (query: string): string => `${SERVERS.DATABASE_URL}?${query}`;
  expect(load({ DATABASE_URL: url('sslmode=verify-ful') })).toContain(
    'DATABASE_URL has an sslmode that does not exist: it must be one of disable,',
  );
  expect(load({ DATABASE_DIRECT_URL: url(`sslmode=verify-full&sslrootcert=${missing}`) })).toContain(
    `sslrootcert of DATABASE_DIRECT_URL names a file that cannot be read: ${missing}`,
  );
  expect(load({ DATABASE_URL: url('sslmode=no-verify'), DATABASE_TLS_CA_FILE: ca })).toContain(
    'DATABASE_URL has sslmode=no-verify, but DATABASE_TLS_CA_FILE asks for a check of the certificate',
  );
});

test('without a way of its own for sessions there is one way', () => {
  const { main, direct } = loadConfig(SERVERS).database;
  expect(direct).toBe(main);
  const other = loadConfig({
    ...SERVERS,
    DATABASE_PASSWORD: 'p@ss',
    DATABASE_DIRECT_URL: 'postgres://parley@primary/parley',
  }).database;
  expect(other.direct.url).toBe('postgres://parley:p%40ss@primary/parley');
});

test('each connection asks for the password that its file has now', () => {
  const file = fileWith('first');
  const urlFile = fileWith('postgres://a:one@primary/d');
  const { main, direct } = loadConfig({
    ...SERVERS,
    DATABASE_PASSWORD_FILE: file,
    DATABASE_DIRECT_URL_FILE: urlFile,
  }).database;
  expect([main.password?.(), direct.password?.()]).toEqual(['first', 'one']);
  writeFileSync(file, 'second\n');
  writeFileSync(urlFile, 'postgres://a:t%20wo@primary/d\n');
  expect([main.password?.(), direct.password?.()]).toEqual(['second', 't wo']);
  rmSync(file);
  writeFileSync(urlFile, '');
  expect([main.password?.(), direct.password?.()]).toEqual(['second', 't wo']);
  expect(loadConfig({ ...SERVERS, DATABASE_PASSWORD: 'fixed' }).database.main.password).toBeUndefined();
});
