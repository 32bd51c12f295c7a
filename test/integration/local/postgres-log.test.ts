import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startPostgres } from '../../../local/postgres.ts';
import { makePool } from '../../../store/pool.ts';
import { createCleanup } from '../../../process/cleanup.ts';
import { createDatabase } from '../../../tools/harness/databases.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { startApi } from '../../harness/api/use-api.ts';
import { testFolder } from '../../harness/folder.ts';
import { makeTalk } from '../../harness/streams/talk.ts';

const PLANTED = ['planted-alice', 'planted-bob', 'planted-phone', 'planted-value'];
const LAST = 'the last statement of the test';

/**
 * Starts PostgreSQL as `npm start` does, but every statement counts as slow. Then it does what makes PostgreSQL log values:
 * slow statements, failed ones, keys that exist already, and waits for locks.
 * @returns what of the planted values is in the log of the server
 */
async function plantedIn(flags: readonly string[]): Promise<{ readonly found: string[]; readonly log: string }> {
  const cleanup = createCleanup();
  onTestFinished(() => cleanup.run());
  const folder = testFolder();
  const logFile = path.join(folder, 'postgres.log');
  const server = await startPostgres({
    dataDir: path.join(folder, 'postgres'),
    logFile,
    durable: false,
    say: () => undefined,
    flags: ['-c', 'log_min_duration_statement=0', '-c', 'deadlock_timeout=10ms', ...flags],
  });
  cleanup.add('server', () => server.stop());
  const pool = makePool({ url: await createDatabase(server.url('postgres'), 'planted'), max: 4, name: 'test' });
  pool.on('error', () => undefined);
  cleanup.add('pool', () => pool.end());
  const service = await startApi(pool);
  cleanup.add('api', service.close);
  const talk = makeTalk(service);
  const conversation = await talk.create('planted-alice', 'planted-bob');
  await talk.say(conversation, 'planted-alice');
  await talk.ack('planted-bob', 'planted-phone', { [conversation]: 1 });

  const key = `insert into device (user_id, device_id) values ($1, $2)`;
  await pool.query(key, ['planted-alice', 'planted-phone']);
  await expect(pool.query(key, ['planted-alice', 'planted-phone'])).rejects.toThrow('duplicate key');
  await expect(
    pool.query('insert into device (user_id, device_id) values ($1, null)', ['planted-bob']),
  ).rejects.toThrow('null value');
  await expect(pool.query('select decide($1, $2)', [conversation, '{"planted-value"'])).rejects.toThrow();
  const body = "begin perform 1 / (v = '')::int; end";
  await pool.query(`create function fails(v text) returns void language plpgsql as $$ ${body} $$`);
  await expect(pool.query('select fails($1)', ['planted-alice'])).rejects.toThrow('division by zero');

  const [holder, waiter] = [await pool.connect(), await pool.connect()];
  const lock = 'update device set seen_at = seen_at where user_id = $1';
  await holder.query('begin');
  await holder.query(lock, ['planted-alice']);
  const waits = waiter.query(lock, ['planted-alice']);
  await waitUntil(() => readFileSync(logFile, 'utf8').includes('still waiting for'), { what: 'the wait is logged' });
  await holder.query('commit');
  await waits;
  for (const client of [holder, waiter]) client.release();
  await pool.query(`select '${LAST}'`);
  await waitUntil(() => readFileSync(logFile, 'utf8').includes(LAST), { what: 'all is logged' });
  const log = readFileSync(logFile, 'utf8');
  return { found: PLANTED.filter((one) => log.includes(one)), log };
}

test('no user id, device id or other parameter is in the log of PostgreSQL, even when every statement is slow', async () => {
  const { found, log } = await plantedIn([]);
  expect(log).toContain('duplicate key value violates unique constraint');
  expect(log).toContain('select decide($1, $2)');
  expect(found).toEqual([]);
});

test('with the settings of PostgreSQL itself they would be there', async () => {
  const { found, log } = await plantedIn(['-c', 'log_parameter_max_length=-1', '-c', 'log_error_verbosity=default']);
  expect(found).toEqual(PLANTED);
  expect(log).toContain('Key (user_id, device_id)=(planted-alice, planted-phone) already exists.');
});
