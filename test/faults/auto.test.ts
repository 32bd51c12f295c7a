import { expect, inject, test } from 'vitest';
import type { PathState } from '../../client/index.ts';
import { startLoad } from '../../tools/chaos/load/load.ts';
import { judge } from '../../tools/chaos/verdict/verdict.ts';
import { startTcpProxy } from '../../tools/harness/tcp-proxy.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { createTestDatabase } from '../harness/database.ts';
import { print } from '../harness/print.ts';
import { startTestService } from '../harness/service.ts';
import { failedTries, untilMore, useFaults } from './faults.ts';

const later = useFaults();

test('under auto no request fails while Temporal is gone, silent, or without workers, and all is back on the workflow after it (invariants 1 to 4, 7, 9 and 11)', async () => {
  const database = await createTestDatabase();
  later('database', database.drop);
  const temporalAddress = inject('temporalAddress');
  const proxy = await startTcpProxy(temporalAddress);
  later('proxy', proxy.close);
  const service = await startTestService(database.url, {
    apis: 1,
    workers: 1,
    env: { CONVERSATION_PATH: 'auto' },
    apiEnv: [{ TEMPORAL_ADDRESS: proxy.address }],
  });
  later('service', service.kill);
  const [worker] = service.workers;
  if (worker === undefined) throw new Error('There is no worker');
  later('stopped worker', () => void process.kill(worker.pid, 'SIGCONT'));
  const size = { conversations: 6, users: 8, perSecond: 60, seed: 1, deadlineMs: 10_000 };
  const load = await startLoad({ ...size, urls: service.urls });
  const operator = service.clientOf('operator');
  const until = async (what: string, holds: (state: PathState['controller']) => boolean): Promise<void> => {
    await waitUntil(async () => holds((await operator.admin.path()).controller), { what, timeoutMs: 60_000 });
  };
  const faults: Readonly<Record<string, { begin: () => unknown; end: () => unknown }>> = {
    'Temporal refuses connections': { begin: () => proxy.refuse(), end: () => proxy.heal() },
    'Temporal is silent': { begin: () => proxy.blackHole(), end: () => proxy.heal() },
    'the worker is stopped (SIGSTOP)': {
      begin: () => process.kill(worker.pid, 'SIGSTOP'),
      end: () => process.kill(worker.pid, 'SIGCONT'),
    },
  };
  await untilMore(load, 100);
  for (const [name, { begin, end }] of Object.entries(faults)) {
    await begin();
    await until(`${name}: the breaker opens`, ({ breaker }) => breaker !== 'closed');
    const before = load.tries.all.length;
    await untilMore(load, 200);
    await end();
    const endedAt = performance.now();
    await until(
      `${name}: back on the workflow`,
      ({ state, updatesPerSecond }) => state !== 'away' && updatesPerSecond > 1,
    );
    const back = Math.round(performance.now() - endedAt);
    print(`${name}: ${load.tries.all.length - before} requests, back on the workflow after ${back} ms`);
  }
  await load.stop();
  expect(failedTries(load)).toEqual([]);
  expect((await judge(load, database.pool)).problems).toEqual([]);
  await waitUntil(async () => (await database.pool.query('select from staged')).rowCount === 0, {
    what: 'nothing is left staged',
  });
});
