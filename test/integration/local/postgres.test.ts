import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { postgresSettings } from '../../../ops/postgres/settings.ts';
import { startPostgres, type Postgres, type PostgresOptions } from '../../../local/postgres.ts';
import { processIdentity } from '../../../local/process-table.ts';
import { useFolder, testFolder } from '../../harness/folder.ts';

const folder = useFolder();
const dataDir = path.join(folder, 'postgres');
let server: Postgres | undefined;

afterAll(async () => {
  await server?.stop();
});

async function start(options: Partial<PostgresOptions> = {}): Promise<Postgres> {
  server = await startPostgres({ dataDir, say: () => undefined, ...options });
  return server;
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(text);
    return rows;
  } finally {
    await client.end();
  }
}

test('data survives a crash of all processes and an orderly stop, on the same port', async () => {
  const first = await start();
  await query(first.url(), 'create table kept (n int); insert into kept values (1)');
  await first.kill9();
  expect(processIdentity(first.pid)).toBeUndefined();

  const second = await start({ port: first.port });
  expect(second.port).toBe(first.port);
  await query(second.url(), 'insert into kept values (2)');
  await second.stop();
  await second.stop();

  const third = await start({ port: first.port, flags: ['-c', 'work_mem=5MB'] });
  expect(await query(third.url(), 'select n from kept order by n')).toEqual([{ n: 1 }, { n: 2 }]);
  expect(
    await query(third.url(), "select current_setting('fsync') as fsync, current_setting('work_mem') as mem"),
  ).toEqual([{ fsync: 'on', mem: '5MB' }]);
});

test('the settings of ops/postgres/settings.ts are active', async () => {
  const { url } = await running();
  const rows = await query(url(), 'select name, setting, unit from pg_settings');
  const settings = new Map(rows.map(({ name, ...rest }) => [String(name).toLowerCase(), rest]));
  for (const name of Object.keys(postgresSettings)) expect(settings.has(name), `${name} exists`).toBe(true);
  expect(settings.get('max_connections')?.setting).toBe('200');
  expect(settings.get('synchronous_commit')?.setting).toBe('on');
  const database =
    'select pg_encoding_to_char(encoding) as encoding, datcollate from pg_database where datname = current_database()';
  expect(await query(url(), database)).toEqual([{ encoding: 'UTF8', datcollate: 'C' }]);
});

test('a second server on the same data is refused, and the error names the running process', async () => {
  const { pid } = await running();
  await expect(startPostgres({ dataDir, say: () => undefined })).rejects.toThrow(
    `PostgreSQL is already running on ${dataDir} (process ${pid}). Stop this process first.`,
  );
});

test('a pid file that names another running process does not prevent a start', async () => {
  const { kill9, port } = await running();
  await kill9();
  writeFileSync(path.join(dataDir, 'postmaster.pid'), `${process.pid}\n${dataDir}\n`);
  const again = await start({ port });
  expect(await query(again.url(), 'select count(*)::int as n from kept')).toEqual([{ n: 2 }]);
});

test('the error for a busy port names the port and the variable to change', async () => {
  const other = createServer();
  const port = await new Promise<number>((resolve) => {
    other.listen(0, '127.0.0.1', () => resolve((other.address() as { port: number }).port));
  });
  await expect(startPostgres({ dataDir: testFolder(), port, say: () => undefined })).rejects.toThrow(
    `Port ${port}, needed for PostgreSQL, is already in use. Set POSTGRES_PORT to another port.`,
  );
  other.close();
});

test('a folder with other files is not changed', async () => {
  const other = testFolder();
  writeFileSync(path.join(other, 'letter.txt'), 'mine');
  await expect(startPostgres({ dataDir: other, say: () => undefined })).rejects.toThrow(
    'is not empty and contains no database cluster',
  );
});

test('if PostgreSQL refuses a setting, the error contains its message', async () => {
  await server?.stop();
  await expect(start({ flags: ['-c', 'shared_buffers=nonsense'] })).rejects.toThrow(
    /PostgreSQL ended while starting \(exit code 1\):[^]*shared_buffers/,
  );
  await start();
});

async function running(): Promise<Postgres> {
  return server ?? (await start());
}
