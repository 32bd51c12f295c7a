import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Postgres, startPostgres } from '../../../local/postgres.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { loadConfig } from '../../../process/config.ts';
import { watchConnections } from '../../../store/connection-watch.ts';
import { makePool } from '../../../store/pool.ts';
import { checkConnections } from '../../../store/pooler.ts';
import { connectionOf } from '../../../store/server.ts';
import { asAdmin } from '../../../local/database-copy.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useDatabase } from '../../harness/database.ts';
import { testFolder } from '../../harness/folder.ts';

const database = useDatabase();
const fixture = (name: string): string => path.join(packageRoot(), 'test', 'fixtures', 'tls', name);
const TEMPORAL = { TEMPORAL_ADDRESS: 'unused:1' };

test('each connection has its settings, without a startup parameter that poolers refuse', async () => {
  const pool = makePool({ url: database().url, max: 2, name: 'settled', statementTimeoutMs: 2000 });
  onTestFinished(() => pool.end());
  const { rows } = await pool.query(
    `select current_setting('search_path') as path, current_setting('plan_cache_mode') as plans, current_setting('enable_seqscan') as scans,
            current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock`,
  );
  expect(rows).toEqual([
    { path: 'parley', plans: 'force_generic_plan', scans: 'off', statement: '2s', lock: '1500ms' },
  ]);
  expect(connectionOf({ url: database().url })).not.toHaveProperty('options');
});

test('a server that nobody stands before is found to be one, and is not asked again and again', async () => {
  const { url } = database();
  const main = { url };
  expect(await checkConnections({ main, direct: main })).toBe('direct');
  expect(await checkConnections({ main, direct: { url } })).toBe('direct');
  const watch = await watchConnections({ main, direct: main }, { onChange: () => undefined, everyMs: 1 });
  expect(watch.problem()).toBeUndefined();
  watch.close();
});

test('a server with TLS and a CA of its own is reached, with its certificate checked', async () => {
  const folder = testFolder();
  // The certificate has only the first of these names.
  const flags = ['-c', 'listen_addresses=127.0.0.1,127.0.0.2'];
  const server = await startPostgres({
    dataDir: path.join(folder, 'data'),
    say: () => undefined,
    durable: false,
    flags,
  });
  onTestFinished(() => server.stop());
  await switchTlsOn(server);
  const url = server.url();
  const tls = async (env: NodeJS.ProcessEnv): Promise<boolean> => {
    const { main } = loadConfig({ ...TEMPORAL, DATABASE_URL: url, ...env }).database;
    const pool = makePool({ ...main, max: 1, name: 'tls' });
    pool.on('error', () => undefined);
    try {
      const { rows } = await pool.query<{ ssl: boolean }>('select ssl from pg_stat_ssl where pid = pg_backend_pid()');
      return rows[0]?.ssl === true;
    } finally {
      await pool.end();
    }
  };
  const wrongHost = url.replace('127.0.0.1', '127.0.0.2');
  expect(await tls({})).toBe(false);
  expect(await tls({ DATABASE_TLS_CA_FILE: fixture('ca.pem') })).toBe(true);
  expect(await tls({ DATABASE_URL: `${url}?sslmode=verify-full&sslrootcert=${fixture('ca.pem')}` })).toBe(true);
  await expect(tls({ DATABASE_TLS_CA_FILE: fixture('other-ca.pem') })).rejects.toThrow(/certificate/);
  await expect(tls({ DATABASE_URL: `${url}?sslmode=verify-full` })).rejects.toThrow(/certificate/);
  await expect(tls({ DATABASE_URL: wrongHost, DATABASE_TLS_CA_FILE: fixture('ca.pem') })).rejects.toThrow(/altnames/);
});

test('a password in a file may be changed while connections come and go', async () => {
  const { url } = database();
  const name = `rotated_${new URL(url).pathname.slice(-8)}`;
  const run = (sql: string): Promise<unknown> => asAdmin(url, (client) => client.query(sql));
  await run(`create role ${name} login password 'first'`);
  onTestFinished(async () => {
    await run(`drop role ${name}`);
  });
  const file = path.join(testFolder(), 'password');
  writeFileSync(file, 'first\n');
  const way = new URL(url);
  way.username = name;
  way.password = '';
  const { main } = loadConfig({ ...TEMPORAL, DATABASE_URL: way.href, DATABASE_PASSWORD_FILE: file }).database;
  const pool = makePool({ ...main, max: 1, name: 'rotated' });
  onTestFinished(() => pool.end());
  const works = async (): Promise<void> => {
    // A connection of its own each time.
    const client = await pool.connect();
    client.release(true);
  };
  await works();
  await run(`alter role ${name} password 'second'`);
  await expect(works()).rejects.toMatchObject({ code: '28P01' });
  writeFileSync(file, 'second\n');
  await works();
  // While it is written it may be empty: then the last one stays.
  writeFileSync(file, '');
  await works();
});

/** As an operator does on a server that runs. */
async function switchTlsOn(server: Postgres): Promise<void> {
  const quoted = (name: string): string => `'${readFileSync(fixture(name), 'utf8')}'`;
  await asAdmin(server.url(), async (client) => {
    // The server writes the key itself, so that it belongs to its user.
    for (const [name, target] of [
      ['server.pem', 'server.crt'],
      ['server.key.pem', 'server.key'],
    ] as const) {
      const file = path.join(server.dataDir, target);
      await client.query(`copy (select ${quoted(name)}) to program 'umask 077; sed "s/\\\\\\\\n/\\\\n/g" > ${file}'`);
    }
    await client.query('alter system set ssl = on');
    await client.query('select pg_reload_conf()');
    const isOn = async (): Promise<boolean> => (await client.query<{ ssl: string }>('show ssl')).rows[0]?.ssl === 'on';
    await waitUntil(isOn, { what: 'the server has read its settings' });
  });
}
