import type { getHeapStatistics } from 'node:v8';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  type HealthChecks,
  actorsCheck,
  databaseCheck,
  makeHealthReport,
  memoryCheck,
  runChecks,
  tokensCheck,
} from '../../../api/services/health-checks.ts';
import { makePool } from '../../../store/pool.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useApi } from '../../harness/api/use-api.ts';

let checks: HealthChecks;
let isDraining = false;
const healthy = { status: 'healthy' } as const;
const allWell = (): HealthChecks => ({
  database: databaseCheck(database().pool, () => Promise.resolve(true)),
  temporal: () => Promise.resolve(healthy),
  memory: memoryCheck(),
  tokens: tokensCheck(undefined),
  actors: actorsCheck({ active: () => 7, waiting: () => 0, limit: 10 }),
});
const { database, service } = useApi(() => {
  checks = allWell();
  const now: HealthChecks = {
    database: () => checks.database(),
    temporal: () => checks.temporal(),
    memory: () => checks.memory(),
    tokens: () => checks.tokens(),
    actors: () => checks.actors(),
  };
  return { checks: now, isDraining: () => isDraining };
});

/** Each path keeps its own answer, until about a second after the checks: the two do not change in the same moment. */
const readinessIs = (status: number): Promise<void> =>
  waitUntil(async () => (await service.ask('GET /health/ready')).status === status, {
    what: `the readiness is ${status}`,
  });

test('the health document reports every part', async () => {
  const answer = await service.ask('GET /health');
  expect([answer.status, answer.body]).toEqual([
    200,
    {
      status: 'healthy',
      timestamp: expect.any(String) as string,
      version: '0.0.0-test',
      build: 'test',
      reasons: [],
      checks: {
        database: 'healthy',
        temporal: 'healthy',
        memory: 'healthy',
        tokens: 'healthy',
        actors: { active_actors: 7, status: 'healthy', healthy: true },
      },
    },
  ]);
  expect((await service.ask('GET /health/live')).text).toBe('OK');
  expect((await service.ask('GET /metrics')).text).toBe('up 1\n');
});

test('a degraded process is ready, and an unhealthy one is not', async () => {
  checks = { ...allWell(), actors: actorsCheck({ active: () => 7, waiting: () => 11, limit: 10 }) };
  // A report is given again for a second.
  await waitUntil(async () => (await service.ask('GET /health')).body.status === 'degraded', {
    what: 'it is degraded',
  });
  const degraded = await service.ask('GET /health');
  expect([degraded.status, degraded.body.reasons]).toEqual([200, ['actors: 11 operations wait']]);
  expect((await service.ask('GET /health/ready')).status).toBe(200);

  checks = { ...allWell(), database: () => Promise.reject(new Error('away')) };
  await waitUntil(async () => (await service.ask('GET /health')).body.status === 'unhealthy', {
    what: 'it is unhealthy',
  });
  const unhealthy = await service.ask('GET /health');
  expect([
    unhealthy.status,
    unhealthy.body.status,
    unhealthy.body.reasons,
    (unhealthy.body.checks as Record<string, unknown>).database,
  ]).toEqual([503, 'unhealthy', ['database: it does not answer'], 'unhealthy']);
  await readinessIs(503);
  const ready = await service.ask('GET /health/ready');
  expect([ready.status, ready.body]).toEqual([
    503,
    {
      ready: false,
      checks: { database: false, temporal: true, memory: true, tokens: true, actors: true, serving: true },
    },
  ]);
  expect((await service.ask('GET /health/live')).status).toBe(200);
  checks = allWell();
});

test('a process without Temporal is ready, also when conversations need it: reads and streams work', async () => {
  const reason = 'it does not answer, and conversations on the path `workflow` need it';
  checks = { ...allWell(), temporal: () => Promise.resolve({ status: 'unhealthy', reason }) };
  // A report is given again for a second.
  await waitUntil(async () => String((await service.ask('GET /health')).body.reasons) === `temporal: ${reason}`, {
    what: 'Temporal is unhealthy',
  });
  expect((await service.ask('GET /health')).status).toBe(503);
  await readinessIs(200);
  const ready = await service.ask('GET /health/ready');
  expect([ready.status, ready.body.ready, (ready.body.checks as Record<string, unknown>).temporal]).toEqual([
    200,
    true,
    false,
  ]);
  checks = allWell();
});

test('the checks run once for all who ask within a second, also while they run', async () => {
  let now = 0;
  let runs = 0;
  const run = (): Promise<typeof healthy> => {
    runs++;
    return Promise.resolve(healthy);
  };
  const report = makeHealthReport({ database: run, temporal: run, memory: run, tokens: run, actors: run }, () => now);
  await Promise.all([report.read(), report.read(), report.read()]);
  now = 999;
  await report.read();
  expect(runs).toBe(5);
  now = 1000;
  expect((await report.read()).database).toEqual(healthy);
  expect(runs).toBe(10);
});

test('a process that is stopping is not ready and closes its connections', async () => {
  isDraining = true;
  const ready = await service.ask('GET /health/ready');
  expect([ready.status, (ready.body.checks as Record<string, unknown>).serving]).toEqual([503, false]);
  expect(ready.headers.get('connection')).toBe('close');
  isDraining = false;
});

test('checks run at once, and one that hangs is cut off', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  let started = 0;
  let ended = false;
  const hangs = (): Promise<never> => {
    started++;
    return new Promise(() => undefined);
  };
  const running = runChecks({ database: hangs, temporal: hangs, memory: hangs, tokens: hangs, actors: hangs }, 100);
  void running.then(() => (ended = true));
  expect(started).toBe(5);
  await vi.advanceTimersByTimeAsync(99);
  expect(ended).toBe(false);
  // One time limit for all of them.
  await vi.advanceTimersByTimeAsync(1);
  expect(ended).toBe(true);
  expect(Object.values(await running)).toEqual(
    Array.from({ length: 5 }, () => ({ status: 'unhealthy', reason: 'no result within 0.1 s' })),
  );
});

test('the database is unhealthy while tables are missing or while it does not answer', async () => {
  let complete = false;
  const check = databaseCheck(database().pool, () => Promise.resolve(complete));
  expect(await check()).toEqual({ status: 'unhealthy', reason: 'migrations are missing: run `npm run migrate`' });
  complete = true;
  expect(await check()).toEqual(healthy);
  let problem: string | undefined = 'the pooler loses prepared statements';
  const watched = databaseCheck(
    database().pool,
    () => Promise.resolve(true),
    () => problem,
  );
  expect(await watched()).toEqual({ status: 'unhealthy', reason: problem });
  problem = undefined;
  expect(await watched()).toEqual(healthy);
  const gone = makePool({ url: 'postgres://localhost:1/none', max: 1, name: 'gone' });
  const everything = { ...allWell(), database: databaseCheck(gone, () => gone.query('select 1').then(() => true)) };
  expect((await runChecks(everything)).database).toEqual({
    status: 'unhealthy',
    reason: 'it does not answer',
  });
  await gone.end();
});

test.each([
  [0.5, 'healthy'],
  [0.9, 'degraded'],
  [0.98, 'unhealthy'],
])('a heap that is used to %d is %s', async (share, status) => {
  const measure = (): ReturnType<typeof getHeapStatistics> =>
    ({ used_heap_size: share * 1000, heap_size_limit: 1000 }) as ReturnType<typeof getHeapStatistics>;
  expect(await memoryCheck(measure)()).toMatchObject({ status });
});
