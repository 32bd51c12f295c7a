import { mkdtempSync, rmSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../process/package-root.ts';
import { startPostgres } from '../../local/postgres.ts';
import { migrate, readSchema } from '../../store/migrate.ts';
import { makePool } from '../../store/pool.ts';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { report, startFleet, useCleanup } from './fleet.ts';
import { expectNothingLost } from './verdict.ts';
import { countFailures, describeRecovery, startLoad, untilBack, untilMore } from './load.ts';

const later = useCleanup();

test('SIGKILL of all Postgres processes under load loses no acknowledged message and no body, and API and worker become ready again by themselves (invariants 1 to 3, 7 and 11)', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-postgres-kill-'));
  // PostgreSQL runs as a user of its own when the tests run as root.
  chmodSync(folder, 0o755);
  later('folder', () => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  // A background writer that sleeps long leaves as many unwritten changes as possible.
  const options = {
    dataDir: path.join(folder, 'postgres'),
    say: () => undefined,
    flags: ['-c', 'wal_writer_delay=10s', '-c', 'shared_buffers=64MB'],
  };
  let postgres = await startPostgres(options);
  later('postgres', () => postgres.kill9());
  const pool = makePool({ url: postgres.url(), max: 4, name: 'test', statementTimeoutMs: 30_000 });
  pool.on('error', () => undefined);
  later('pool', () => pool.end());
  await migrate(pool, await readSchema(path.join(packageRoot(), 'store')));

  const fleet = await startFleet({ apis: 2, workers: 1, databaseUrl: postgres.url() });
  later('fleet', fleet.stop);
  const api = fleet.apis[0]?.url ?? '';
  const readiness = async (): Promise<number> => (await fetch(`${api}/health/ready`)).status;
  const load = await startLoad({ urls: fleet.urls, token: fleet.token, conversations: 4, users: 8 });
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
    report(
      `Postgres killed: ready again ${Math.round(performance.now() - backAt)} ms after it; ${describeRecovery(load, backAt)}`,
    );
  }
  await load.stop();
  expect(fleet.apis.every((one) => one.isRunning()) && fleet.workers.every((one) => one.isRunning())).toBe(true);
  expect(load.abandoned, JSON.stringify(countFailures(load.failures))).toEqual([]);
  expect(load.failures.filter(({ status }) => status !== 503)).toEqual([]);
  await expectNothingLost(load, pool, checkInvariants);
});
