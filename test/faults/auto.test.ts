import { expect, inject, test } from 'vitest';
import type { PathState } from '../../client/index.ts';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { createTestDatabase } from '../harness/database.ts';
import { print } from '../harness/print.ts';
import { startTestService } from '../harness/service.ts';
import { startTcpProxy } from '../harness/tcp-proxy.ts';
import { useFaults } from './faults.ts';
import { type Kind, countFailures, startLoad, untilMore } from './load.ts';
import { expectNothingLost } from './verdict.ts';

const later = useFaults();
/** Increments are signals and pass no queue. */
const KINDS: readonly Kind[] = ['message', 'message', 'message', 'repeat', 'commit', 'add', 'remove', 'read'];

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
  const load = await startLoad({
    urls: service.urls,
    token: service.token,
    conversations: 6,
    users: 8,
    kinds: KINDS,
    retries: false,
  });
  const operator = load.client('operator');
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
    const before = load.successes.length;
    await untilMore(load, 200);
    await end();
    const endedAt = performance.now();
    await until(
      `${name}: back on the workflow`,
      ({ state, updatesPerSecond }) => state !== 'away' && updatesPerSecond > 1,
    );
    const back = Math.round(performance.now() - endedAt);
    print(`${name}: ${load.successes.length - before} requests succeeded, back on the workflow after ${back} ms`);
  }
  await load.stop();
  expect(countFailures(load.failures)).toEqual({});
  await expectNothingLost(load, database.pool, checkInvariants);
  await waitUntil(async () => (await database.pool.query('select from staged')).rowCount === 0, {
    what: 'nothing is left staged',
  });
});
