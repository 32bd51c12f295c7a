import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { TLSSocket } from 'node:tls';
import { expect, inject, onTestFinished, test } from 'vitest';
import { configurationProblems, tryDatabase } from '../../../local/configuration.ts';
import { readStackOptions } from '../../../local/options.ts';
import { freePort, loopback } from '../../../local/ports.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { useDatabase } from '../../harness/database.ts';

// What `npm start` says about servers that it does not run itself. No sentence has a password.

const database = useDatabase();
const PASSWORD = 'not-the-password';

async function listening(server: Server): Promise<string> {
  const port = await freePort();
  server.listen(port, loopback);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `${loopback}:${port}`;
}

function changed(change: (url: URL) => void): string {
  const url = new URL(database().url);
  change(url);
  return url.href;
}

test('a database that can be used is no problem', async () => {
  expect(await tryDatabase(database().url, 'DATABASE_URL')).toBeUndefined();
});

test('each mistake in the URL of the database is a sentence', async () => {
  const { host } = new URL(database().url);
  const nobody = `${loopback}:${await freePort()}`;
  const cases: [url: string, said: string][] = [
    [changed((url) => (url.password = PASSWORD)), 'the server refuses the password of the user parley'],
    [changed((url) => (url.pathname = '/nowhere')), `${host} has no database nowhere. Create it, or correct the name`],
    [
      changed((url) => (url.password = '')),
      'the server asks for a password. Put it into the URL, or set DATABASE_PASSWORD',
    ],
    [
      changed((url) => url.searchParams.set('sslmode', 'verify-full')),
      `${host} has no TLS, but the URL asks for it. Remove sslmode, or switch TLS on in the server`,
    ],
    [
      changed((url) => (url.host = nobody)),
      `nothing listens at ${nobody}. Start PostgreSQL there, or correct host and port`,
    ],
    ['postgres://parley@no-such-host.invalid/parley', 'the host of no-such-host.invalid:5432 is not known (ENOTFOUND)'],
    [
      changed((url) => url.searchParams.set('sslrootcert', '/nowhere/ca.pem')),
      'a file that the URL names is not there',
    ],
  ];
  for (const [url, said] of cases) {
    const problem = await tryDatabase(url, 'DATABASE_URL');
    expect(problem).toContain(`DATABASE_URL: ${said.replace(' (ENOTFOUND)', '')}`);
    expect(problem).not.toContain(PASSWORD);
  }
});

test('a certificate that nobody trusts, and a server that is no PostgreSQL, are told', async () => {
  const pem = (name: string): Buffer => readFileSync(path.join(packageRoot(), 'test', 'fixtures', 'tls', name));
  const withTls = await listening(
    createServer((socket) => {
      socket.on('error', () => undefined);
      // The client asks for TLS, and the server says yes.
      socket.once('data', () => {
        socket.write('S');
        const tls = new TLSSocket(socket, { isServer: true, key: pem('server.key.pem'), cert: pem('server.pem') });
        tls.on('error', () => undefined);
      });
    }),
  );
  expect(await tryDatabase(`postgres://u:${PASSWORD}@${withTls}/p?sslmode=verify-full`, 'DATABASE_URL')).toMatch(
    new RegExp(`^DATABASE_URL: the certificate of ${withTls} is not trusted \\([A-Z_]+\\)`),
  );
  const web = await listening(createHttpServer((_request, response) => response.end()));
  expect(await tryDatabase(`postgres://u:${PASSWORD}@${web}/p`, 'DATABASE_URL')).toContain(
    `what listens at ${web} does not answer as PostgreSQL does`,
  );
});

test('values, files, database and Temporal are told together', async () => {
  const address = `${loopback}:${await freePort()}`;
  const env = {
    DATABASE_URL: changed((url) => (url.password = PASSWORD)),
    TEMPORAL_ADDRESS: address,
    POSTGRESS_PORT: '5433',
    RATE_LIMIT_READS: 'many',
    JWT_PUBLIC_KEY_FILE: '/nowhere/key.pem',
    PORT: '70000',
  };
  const options = readStackOptions(env, '/');
  const problems = await configurationProblems(env, options, { problems: [], places: {} });
  expect([...options.problems, ...problems]).toEqual([
    'PORT must be a port from 1 to 65535, but is 70000',
    'POSTGRESS_PORT is unknown: did you mean POSTGRES_PORT?',
    'RATE_LIMIT_READS must be a whole number from 0 to 1000000000',
    expect.stringContaining('JWT_PUBLIC_KEY_FILE: the file cannot be read: ENOENT'),
    'DATABASE_URL: the server refuses the password of the user parley',
    `TEMPORAL_ADDRESS: nothing listens at ${address}. Start Temporal there, or correct host and port`,
  ]);
});

test('an unknown name in the file keeps nothing from being tried', async () => {
  const env = { DATABASE_URL: changed((url) => (url.password = PASSWORD)), POSTGRESS_PORT: '1' };
  const told = '.env, line 1: POSTGRESS_PORT is unknown: did you mean POSTGRES_PORT?';
  const file = { problems: [told], places: { POSTGRESS_PORT: '.env, line 1' } };
  const options = readStackOptions(env, '/', [], file);
  expect([...options.problems, ...(await configurationProblems(env, options, file))]).toEqual([
    told,
    'DATABASE_URL: the server refuses the password of the user parley',
  ]);
});

test('an address of another machine, and a name that nobody knows, are told', async () => {
  const said = async (HOST: string): Promise<string[]> =>
    configurationProblems({ HOST }, readStackOptions({ HOST }, '/'), { problems: [], places: {} });
  expect(await said('192.0.2.1')).toEqual(['HOST is 192.0.2.1, which is no address of this machine']);
  expect(await said('no-such-host.invalid')).toEqual([
    'HOST is no-such-host.invalid, a name that is not known here. Set it to an address',
  ]);
  expect(await said('::')).toEqual([]);
});

test('a namespace that is not there is told, and servers of the stack itself are not asked', async () => {
  const nothing = { problems: [], places: {} };
  const env = { TEMPORAL_ADDRESS: inject('temporalAddress'), TEMPORAL_NAMESPACE: 'nowhere' };
  expect(await configurationProblems(env, readStackOptions(env, '/'), nothing)).toEqual([
    expect.stringContaining(`TEMPORAL_NAMESPACE: ${env.TEMPORAL_ADDRESS} has no namespace nowhere`),
  ]);
  expect(await configurationProblems({}, readStackOptions({}, '/'), nothing)).toEqual([]);
});
