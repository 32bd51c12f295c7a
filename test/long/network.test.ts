import { expect, inject, test } from 'vitest';
import { startLoad } from '../../tools/chaos/load/load.ts';
import { judge } from '../../tools/chaos/verdict/verdict.ts';
import { type Inspect, startTcpProxy } from '../../tools/harness/tcp-proxy.ts';
import { createTestDatabase } from '../harness/database.ts';
import { print } from '../harness/print.ts';
import { startTestService } from '../harness/service.ts';
import { failedTries, untilMore, useFaults } from '../faults/faults.ts';

const later = useFaults();

test('each decision is made exactly once when its connection breaks before or after it, and no request fails (invariants 1 to 3)', async () => {
  const database = await createTestDatabase();
  later('database', database.drop);
  const proxied = new URL(database.url);
  const proxy = await startTcpProxy(proxied.host);
  later('proxy', proxy.close);
  proxied.host = proxy.address;
  const service = await startTestService(database.url, {
    apis: 1,
    workers: 1,
    env: { DATABASE_URL: proxied.href },
    apiEnv: [{ DATABASE_URL: database.url, TEMPORAL_ADDRESS: inject('temporalAddress') }],
  });
  later('service', service.kill);
  const size = { conversations: 3, users: 6, perSecond: 40, seed: 1, deadlineMs: 10_000 };
  const load = await startLoad({ ...size, urls: service.urls });
  await untilMore(load, 100);
  proxy.inspect(cutDecisions(5));
  await untilMore(load, 300);
  // The network is slow as well.
  proxy.slow({ delayMs: 30 });
  await untilMore(load, 100);
  proxy.inspect();
  await proxy.heal();
  await load.stop();
  print(`worker to Postgres cut in every fifth decision: ${load.tries.all.length} requests`);
  expect(failedTries(load)).toEqual([]);
  expect((await judge(load, database.pool)).problems).toEqual([]);
});

/**
 * Cuts the connection in every `n`th decision, alternating between two moments: before the call reaches Postgres, and
 * while the answer is on its way back, which is after the commit.
 */
function cutDecisions(n: number): Inspect {
  const call = Buffer.from('\0decide\0');
  let calls = 0;
  return (direction, chunk, { notes }) => {
    if (direction === 'answer') return notes.get('cut') === true ? 'cut' : 'pass';
    // The Bind message names the prepared statement.
    if (!chunk.includes(call) || ++calls % n !== 0) return 'pass';
    if (calls % (2 * n) === 0) return 'cut';
    notes.set('cut', true);
    return 'pass';
  };
}
