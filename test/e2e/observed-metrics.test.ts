import { randomBytes, randomUUID } from 'node:crypto';
import { beforeAll, expect, test, vi } from 'vitest';
import { toBase64, toBase64Url } from '../../client/index.ts';
import { freePort, loopback } from '../../local/ports.ts';
import { resolveProgram } from '../../local/temporal-binary.ts';
import { temporalCli } from '../../local/temporal-programs.ts';
import { startTemporal } from '../../local/temporal-server.ts';
import { startService } from '../../tools/harness/service.ts';
import { temporaryFolder } from '../../tools/harness/temporary-folder.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { metricOf } from '../../tools/observe/metric-names.ts';
import { usedMetrics } from '../../tools/observe/used-metrics.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { useDatabase } from '../harness/database.ts';
import { read } from '../harness/markdown.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

/** Of the SDK and of Temporal: they appear with the first event of their kind, which the faults of `npm run drills` make happen. */
const AFTER_THE_FIRST_EVENT = [
  'temporal_request_failure',
  'temporal_sticky_cache_miss',
  'temporal_sticky_cache_total_forced_eviction',
  'temporal_workflow_task_execution_failed',
];
const database = useDatabase();
const later = useCleanup();
/** Names of the metrics that each part serves. */
const served = new Map<string, ReadonlySet<string>>();

async function namesAt(url: string): Promise<ReadonlySet<string>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name));
}

beforeAll(async () => {
  const folder = temporaryFolder('metrics');
  const [temporalPort, sdkPort] = [await freePort(), await freePort()];
  const temporal = await startTemporal({
    binary: await resolveProgram(temporalCli, { say: () => undefined }),
    dataDir: folder.path,
    inMemory: true,
    metricsPort: temporalPort,
    say: () => undefined,
  });
  later('folder', folder.remove);
  later('temporal', temporal.stop);
  const service = await startService(
    { databaseUrl: database().url, temporalAddress: temporal.address, name: 'metrics' },
    {
      apis: 1,
      workers: 1,
      env: { CONVERSATION_PATH: 'workflow', SDK_METRICS_PORT: String(sdkPort), DATABASE_REPLICA_URL: database().url },
    },
  );
  later('service', service.stop);
  const alice = service.clientOf('alice');
  const id = toBase64Url(randomBytes(18));
  await alice.createConversation({ id, protocol: 'opaque', members: ['alice'], policy: { externalJoin: 'nobody' } });
  // More than one, so that the cache of the worker is hit.
  for (let i = 0; i < 5; i++) await alice.send(id, { id: randomUUID(), ciphertext: toBase64(randomBytes(40)) });
  const parts = {
    api: service.apis[0]?.url ?? '',
    worker: service.workers[0]?.url ?? '',
    'worker-sdk': `http://${loopback}:${sdkPort}`,
    temporal: `http://${loopback}:${temporalPort}`,
  };
  const look = async (): Promise<boolean> => {
    for (const [part, url] of Object.entries(parts)) served.set(part, await namesAt(url));
    return missing().length === 0;
  };
  // Temporal writes some of its numbers now and then. What never comes is what the tests show.
  await waitUntil(look, { what: 'all is served', everyMs: 500 }).catch(() => undefined);
});

function all(): ReadonlySet<string> {
  return new Set([...served.values()].flatMap((names) => [...names]));
}

function missing(): string[] {
  const known = all();
  return [...usedMetrics()].flatMap(([name, place]) =>
    metricOf(name, known) === undefined && !AFTER_THE_FIRST_EVENT.includes(name) ? [`${name} (${place})`] : [],
  );
}

/** Those that Parley itself makes. */
function ours(): string[] {
  return [...all()].filter((name) => /^(?:parley|actor|epoch)_/.test(name)).sort();
}

/** Rows of the reference page: the name, its cells, and the processes that serve it. */
function rows(): ReadonlyMap<string, readonly string[]> {
  const lines = read('docs/reference/metrics.md').matchAll(/^\| `((?:parley|actor|epoch)_\w+)` +\| (.+) \|$/gm);
  return new Map([...lines].map(([, name = '', rest = '']) => [name, rest.split(' | ').map((cell) => cell.trim())]));
}

test('every metric that a rule or a dashboard names is served by the running system', () => {
  expect(usedMetrics().size).toBeGreaterThan(50);
  expect(missing()).toEqual([]);
});

test('every metric of ours is in the reference page, with its meaning and its normal range', () => {
  expect(ours().length).toBeGreaterThan(50);
  expect(ours().filter((name) => !rows().has(name))).toEqual([]);
  for (const [name, cells] of rows()) {
    expect(cells.length, name).toBeGreaterThanOrEqual(3);
    for (const cell of cells) expect(cell, name).not.toBe('');
  }
});

test('the reference page names no metric that nobody serves', () => {
  const known = all();
  expect([...rows().keys()].filter((name) => !known.has(name)).sort()).toEqual([]);
});

test('the reference page says of each metric who serves it', () => {
  const [api, worker] = [served.get('api'), served.get('worker')];
  const words: string[] = [];
  for (const [name, cells] of rows()) {
    const by = cells.find((cell) => /^(?:API, worker|API|worker)$/.test(cell));
    // Registered in both kinds of processes, but only one has something to say: the page names this one.
    if (by === undefined) continue;
    if (by.includes('API') && api?.has(name) !== true) words.push(`${name} is not served by the API`);
    if (by.includes('worker') && worker?.has(name) !== true) words.push(`${name} is not served by the worker`);
  }
  expect(words).toEqual([]);
});

test('no metric is excused without need', () => {
  expect(AFTER_THE_FIRST_EVENT.filter((name) => !usedMetrics().has(name))).toEqual([]);
});
