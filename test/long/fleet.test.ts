import { randomUUID } from 'node:crypto';
import { expect, inject, test, vi } from 'vitest';
import { listProcesses } from '../../store/process/processes.ts';
import { type ServiceOptions, type ServiceProcess, startApi, startWorker } from '../../tools/harness/processes.ts';
import { startTcpProxy } from '../../tools/harness/tcp-proxy.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { useDatabase } from '../harness/database.ts';

vi.setConfig({ testTimeout: 120_000 });

const later = useCleanup();
const database = useDatabase();

function options(more: Partial<ServiceOptions> = {}): ServiceOptions {
  return {
    databaseUrl: database().url,
    temporalAddress: inject('temporalAddress'),
    taskQueue: `fleet-${randomUUID()}`,
    ...more,
  };
}

async function started(starting: Promise<ServiceProcess>): Promise<ServiceProcess> {
  const service = await starting;
  later(service.name, service.kill9);
  return service;
}

interface Health {
  readonly status: string;
  readonly reasons: readonly string[];
  readonly build: string;
}

async function healthOf(api: ServiceProcess): Promise<Health> {
  const response = await fetch(`${api.url}/health`);
  expect(response.status).toBe(200);
  return (await response.json()) as Health;
}

/** Waits until the reasons are as told, and holds that the process is ready all the time. */
async function untilReasons(api: ServiceProcess, pattern: RegExp): Promise<void> {
  let latest: Health | undefined;
  await waitUntil(
    async () => {
      expect((await fetch(`${api.url}/health/ready`)).status).toBe(200);
      latest = await healthOf(api);
      return pattern.test(latest.reasons.join('; '));
    },
    { what: `the reasons are ${String(pattern)}`, everyMs: 100 },
  ).catch((cause: unknown) => {
    throw new Error(`The health is ${JSON.stringify(latest)}`, { cause });
  });
}

const WELL = /^$/;

async function metricOf(api: ServiceProcess, name: string): Promise<string | undefined> {
  const text = await (await fetch(`${api.url}/metrics`)).text();
  return text.split('\n').find((line) => line.startsWith(name));
}

test('no worker works: each way of it is seen, with its reason, and the API stays ready', async () => {
  const service = options();
  const proxy = await startTcpProxy(service.temporalAddress);
  later('proxy', proxy.close);
  const elsewhere = `elsewhere-${randomUUID()}`;
  const [api, worker] = await Promise.all([
    started(startApi(service)),
    started(startWorker({ ...service, temporalAddress: proxy.address })),
    started(startWorker({ ...service, taskQueue: elsewhere })),
  ]);
  await untilReasons(api, WELL);
  expect(await metricOf(api, 'parley_workers_alive')).toBe('parley_workers_alive 1');

  // Stopped: its polls stay open.
  process.kill(worker.pid, 'SIGSTOP');
  await untilReasons(api, /no worker works .*: 1 silent .*, 1 on another task queue/);
  expect(await healthOf(api)).toMatchObject({ status: 'degraded' });
  expect(await metricOf(api, 'parley_workers_alive')).toBe('parley_workers_alive 0');
  process.kill(worker.pid, 'SIGCONT');

  // Its connection falls silent, which the SDK itself would notice after 45 s.
  proxy.blackHole();
  await untilReasons(api, /no worker works .*: 1 running but not connected to Temporal/);
  await proxy.heal();
  proxy.cut();
  await untilReasons(api, WELL);

  // It leaves in good order, and says so: nobody is silent.
  expect(await worker.stop()).toBe(0);
  await untilReasons(api, /no worker works on the task queue \S+: 1 on another task queue/);
  expect(await api.stop()).toBe(0);
  const others = (await listProcesses(database().pool)).filter(({ kind }) => kind === 'worker');
  expect(others).toMatchObject([{ taskQueue: elsewhere }]);
});

test('a process says what it was built from', async () => {
  const service = options({ env: { PARLEY_BUILD: 'image-7' } });
  const [api, worker] = await Promise.all([started(startApi(service)), started(startWorker(service))]);
  expect(await healthOf(api)).toMatchObject({ build: 'image-7' });
  expect(await (await fetch(`${worker.url}/health`)).json()).toMatchObject({ build: 'image-7' });
  for (const one of [api, worker]) expect(await metricOf(one, 'parley_build_info')).toContain('build="image-7"');
  const builds = (await listProcesses(database().pool)).filter(({ taskQueue }) => taskQueue === service.taskQueue);
  expect(builds.map(({ kind, build }) => [kind, build]).sort()).toEqual([
    ['api', 'image-7'],
    ['worker', 'image-7'],
  ]);
});
