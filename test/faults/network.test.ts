import { expect, inject, test } from 'vitest';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { type Inspect, type TcpProxy, startTcpProxy } from '../harness/tcp-proxy.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { createTestDatabase } from '../harness/database.ts';
import { print } from '../harness/print.ts';
import { startTestService } from '../harness/service.ts';
import { useFaults } from './faults.ts';
import { expectNothingLost } from './verdict.ts';
import {
  type Load,
  countFailures,
  describeFailures,
  describeRecovery,
  startLoad,
  untilBack,
  untilMore,
} from './load.ts';

const later = useFaults();
const DEADLINE_MS = 3000;

interface Setting {
  readonly load: Load;
  readonly proxy: TcpProxy;
  readonly pool: Parameters<typeof expectNothingLost>[1];
}

/** Starts one API and one worker, with a proxy between one of them and one of its servers. */
async function startBehindProxy(
  between: 'api and temporal' | 'api and postgres' | 'worker and postgres',
  env: Readonly<Record<string, string>> = {},
): Promise<Setting> {
  const database = await createTestDatabase();
  later('database', database.drop);
  const temporalAddress = inject('temporalAddress');
  const { host } = new URL(database.url);
  const proxy = await startTcpProxy(between === 'api and temporal' ? temporalAddress : host);
  later('proxy', proxy.close);
  const proxied = new URL(database.url);
  proxied.host = proxy.address;
  const common = { REQUEST_DEADLINE_MS: String(DEADLINE_MS), CONVERSATION_PATH: 'workflow', ...env };
  const service = await startTestService(database.url, {
    apis: 1,
    workers: 1,
    env: { ...common, ...(between === 'worker and postgres' ? { DATABASE_URL: proxied.href } : {}) },
    apiEnv: [
      {
        DATABASE_URL: between === 'api and postgres' ? proxied.href : database.url,
        TEMPORAL_ADDRESS: between === 'api and temporal' ? proxy.address : temporalAddress,
      },
    ],
  });
  later('service', service.kill);
  const load = await startLoad({ urls: service.urls, token: service.token, conversations: 3, users: 6 });
  await untilMore(load, 150);
  return { load, proxy, pool: database.pool };
}

/** Breaks the network, waits until requests fail, repairs it, and waits until every conversation answers. */
async function breakAndMend({ load, proxy }: Setting, what: string, isFelt: () => boolean): Promise<void> {
  proxy.blackHole();
  await waitUntil(isFelt, { what: 'clients feel it', timeoutMs: 30_000 });
  await proxy.heal();
  const healedAt = performance.now();
  await untilBack(load, healedAt);
  print(`${what}: ${describeRecovery(load, healedAt)}`);
}

async function expectOrderlyEnd({ load, pool }: Setting): Promise<void> {
  await load.stop();
  expect(load.abandoned, JSON.stringify(countFailures(load.failures))).toEqual([]);
  // The service answered each of them: a client that gave up by itself would have no status (invariant 11).
  expect(load.failures.filter(({ status }) => status !== 503)).toEqual([]);
  print(describeFailures(load));
  await expectNothingLost(load, pool, checkInvariants);
}

test('a half-open connection between API and Temporal ends requests as 503 within their deadline, and recovers by itself (invariant 11)', async () => {
  const setting = await startBehindProxy('api and temporal');
  const { failures } = setting.load;
  await breakAndMend(
    setting,
    'API to Temporal half-open',
    () => failures.filter(({ status }) => status === 503).length >= 6,
  );
  await expectOrderlyEnd(setting);
});

for (const path of ['workflow', 'direct']) {
  test(`a black hole between API and Postgres ends requests as 503 within their deadline, and recovers by itself (${path} path, invariant 11)`, async () => {
    const setting = await startBehindProxy('api and postgres', { CONVERSATION_PATH: path });
    const { failures } = setting.load;
    await breakAndMend(setting, `API to Postgres black hole, ${path} path`, () => failures.length >= 6);
    await expectOrderlyEnd(setting);
  });
}

test('each decision is made exactly once when its connection breaks before or after it, and no request fails (invariants 1 to 3)', async () => {
  const setting = await startBehindProxy('worker and postgres', { REQUEST_DEADLINE_MS: '10000' });
  const { load, proxy } = setting;
  const failuresBefore = load.failures.length;
  proxy.inspect(cutDecisions(5));
  await untilMore(load, 300);
  // The network is slow as well.
  proxy.delay(30);
  await untilMore(load, 100);
  proxy.inspect();
  await proxy.heal();
  print(`worker to Postgres cut in every fifth decision: ${load.successes.length} requests succeeded`);
  expect(countFailures(load.failures.slice(failuresBefore))).toEqual({});
  await expectOrderlyEnd(setting);
});

test('a black hole between worker and Postgres ends requests as 503 within their deadline, and recovers by itself (invariant 11)', async () => {
  const setting = await startBehindProxy('worker and postgres');
  const { failures } = setting.load;
  await breakAndMend(setting, 'worker to Postgres black hole', () => failures.length >= 6);
  await expectOrderlyEnd(setting);
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
