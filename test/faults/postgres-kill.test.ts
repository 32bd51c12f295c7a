import path from 'node:path';
import { expect, test } from 'vitest';
import { startPostgres } from '../../local/postgres.ts';
import { makePool } from '../../store/pool.ts';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { print } from '../harness/print.ts';
import { startTestService } from '../harness/service.ts';
import { temporaryFolder } from '../../tools/harness/temporary-folder.ts';
import { migrateDatabase } from '../../tools/harness/databases.ts';
import { useFaults } from './faults.ts';
import { expectNothingLost } from './verdict.ts';
import { countFailures, describeRecovery, startLoad, untilBack, untilMore } from './load.ts';

const later = useFaults();

test('SIGKILL of all Postgres processes under load loses no acknowledged message and no body; readiness goes and comes back, API and worker recover by themselves (invariants 1 to 3, 7 and 11)', async () => {
  const folder = temporaryFolder('postgres-kill');
  later('folder', folder.remove);
  // A background writer that sleeps long leaves as much as possible to be lost.
  const options = {
    dataDir: path.join(folder.path, 'postgres'),
    say: () => undefined,
    flags: ['-c', 'wal_writer_delay=10s', '-c', 'shared_buffers=64MB'],
  };
  let postgres = await startPostgres(options);
  later('postgres', () => postgres.kill9());
  const pool = makePool({ url: postgres.url(), max: 4, name: 'test', statementTimeoutMs: 30_000 });
  pool.on('error', () => undefined);
  later('pool', () => pool.end());
  await migrateDatabase(postgres.url());

  const service = await startTestService(postgres.url(), { apis: 2, workers: 1 });
  later('service', service.kill);
  const api = service.apis[0]?.url ?? '';
  const readiness = async (): Promise<number> => (await fetch(`${api}/health/ready`)).status;
  const load = await startLoad({ urls: service.urls, token: service.token, conversations: 4, users: 8 });
  for (let round = 0; round < 3; round++) {
    await untilMore(load, 200);
    expect(await readiness()).toBe(200);
    const { port } = postgres;
    await postgres.kill9();
    await waitUntil(async () => (await readiness()) === 503, { what: 'the API is not ready' });
    postgres = await startPostgres({ ...options, port });
    const backAt = performance.now();
    await untilBack(load, backAt);
    await waitUntil(async () => (await readiness()) === 200, { what: 'the API is ready again' });
    print(
      `Postgres killed: ready again ${Math.round(performance.now() - backAt)} ms after it; ${describeRecovery(load, backAt)}`,
    );
  }
  await load.stop();
  expect(service.apis.every((one) => one.isRunning()) && service.workers.every((one) => one.isRunning())).toBe(true);
  expect(load.abandoned, JSON.stringify(countFailures(load.failures))).toEqual([]);
  expect(load.failures.filter(({ status }) => status !== 503)).toEqual([]);
  await expectNothingLost(load, pool, checkInvariants);
});
