import { randomBytes, randomUUID } from 'node:crypto';
import { Agent, get } from 'node:http';
import pg from 'pg';
import { createHttp, ParleyClient, toBase64, toBase64Url } from '../../client/index.ts';
import { expect, inject, test, vi } from 'vitest';
import { createTestDatabase } from '../harness/database.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { type ServiceOptions, type ServiceProcess, startApi, startWorker } from '../../tools/harness/processes.ts';
import { tokenOf } from '../../tools/harness/tokens.ts';
import { type TcpProxy, startTcpProxy } from '../../tools/harness/tcp-proxy.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';

vi.setConfig({ testTimeout: 180_000 });

/** Checks have time limits of at most 2 s. A probe that waits longer than this would treat the process as dead. */
const PROBE_MS = 20_000;

const later = useCleanup();

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

async function probe(service: ServiceProcess, path: string): Promise<Answer> {
  const response = await fetch(`${service.url}${path}`, { signal: AbortSignal.timeout(PROBE_MS) });
  const text = await response.text();
  return { status: response.status, body: text.startsWith('{') ? (JSON.parse(text) as unknown) : text };
}

const health = (service: ServiceProcess): Promise<Answer> => probe(service, '/health');
const ready = (service: ServiceProcess): Promise<Answer> => probe(service, '/health/ready');

async function untilReady(service: ServiceProcess, status: number): Promise<Answer> {
  let answer = await ready(service);
  await waitUntil(async () => (answer = await ready(service)).status === status, {
    what: `readiness is ${status}`,
    timeoutMs: 20_000,
  });
  return answer;
}

/** Waits until the check of Temporal in `GET /health` has a result. */
async function untilTemporalIs(api: ServiceProcess, status: string): Promise<void> {
  await waitUntil(
    async () => ((await health(api)).body as { checks: { temporal: string } }).checks.temporal === status,
    { what: `Temporal is ${status}` },
  );
}

interface Setting {
  readonly service: ServiceOptions;
  readonly databaseUrl: string;
  readonly pool: pg.Pool;
  readonly postgres: TcpProxy;
  readonly temporal: TcpProxy;
}

/** Makes a separate database, with proxies in front of it and of Temporal. */
async function prepare(env: Readonly<Record<string, string>> = {}): Promise<Setting> {
  const database = await createTestDatabase();
  later('database', database.drop);
  const postgres = await startTcpProxy(new URL(database.url).host);
  later('postgres proxy', postgres.close);
  const temporal = await startTcpProxy(inject('temporalAddress'));
  later('temporal proxy', temporal.close);
  const url = new URL(database.url);
  url.host = postgres.address;
  const service = {
    databaseUrl: url.href,
    temporalAddress: temporal.address,
    taskQueue: `health-${randomUUID()}`,
    env,
  };
  return { service, databaseUrl: database.url, pool: database.pool, postgres, temporal };
}

async function started(starting: Promise<ServiceProcess>): Promise<ServiceProcess> {
  const service = await starting;
  later('process', service.kill9);
  return service;
}

function clientOf(api: ServiceProcess): ParleyClient {
  return new ParleyClient(createHttp({ baseUrl: api.url, token: () => tokenOf('alice'), attempts: 1 }));
}

async function createConversation(api: ServiceProcess): Promise<string> {
  const id = toBase64Url(randomBytes(18));
  await clientOf(api).createConversation({ id, protocol: 'opaque', policy: { externalJoin: 'nobody' } });
  return id;
}

/**
 * Lets no entry be written, so that no send is decided. It is tried again until its deadline, while one whose conversation is locked is
 * answered after some seconds. @returns a function that ends it
 */
async function hold(databaseUrl: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  later('holder', () => client.end());
  await client.query('begin');
  await client.query('lock table parley.entry in share mode');
  return () => client.end();
}

/** Requests wait for as long as they are held. */
const PATIENT = { CONVERSATION_PATH: 'direct', REQUEST_DEADLINE_MS: '60000', SHUTDOWN_GRACE_MS: '60000' };

const message = (): { id: string; ciphertext: string } => ({ id: randomUUID(), ciphertext: toBase64(randomBytes(40)) });

test('a healthy API reports its version, the time and the results of its checks', async () => {
  const { service } = await prepare();
  const [api] = await Promise.all([started(startApi(service)), started(startWorker(service))]);
  await untilTemporalIs(api, 'healthy');
  expect(await probe(api, '/health/live')).toEqual({ status: 200, body: 'OK' });
  const { status, body } = await health(api);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    status: 'healthy',
    checks: {
      database: 'healthy',
      temporal: 'healthy',
      memory: 'healthy',
      tokens: 'healthy',
      actors: { active_actors: 0, status: 'healthy', healthy: true },
    },
  });
  const { timestamp, version } = body as { timestamp: string; version: string };
  expect(new Date(timestamp).toISOString()).toBe(timestamp);
  expect(version).toMatch(/^\d+\.\d+\.\d+/);
  expect(await ready(api)).toMatchObject({ status: 200, body: { ready: true } });
});

test('the API is live, unhealthy and not ready without Postgres, recovers by itself, and detects a Postgres that hangs by a time limit', async () => {
  const { service, postgres } = await prepare();
  const api = await started(startApi(service));
  const breakages: Record<string, () => Promise<void> | void> = {
    refuses: () => postgres.refuse(),
    hangs: () => postgres.blackHole(),
  };
  for (const [how, break_] of Object.entries(breakages)) {
    await break_();
    expect((await untilReady(api, 503)).body, how).toMatchObject({ ready: false, checks: { database: false } });
    expect(await health(api), how).toMatchObject({
      status: 503,
      body: { status: 'unhealthy', checks: { database: 'unhealthy' } },
    });
    expect(await probe(api, '/health/live'), how).toEqual({ status: 200, body: 'OK' });
    await postgres.heal();
    await untilReady(api, 200);
    await waitUntil(async () => (await health(api)).status === 200, { what: 'it is healthy again' });
  }
});

test('the API on the workflow path reports a missing Temporal, stays ready, recovers by itself, and detects a Temporal that hangs by a time limit', async () => {
  const { service, temporal } = await prepare({ CONVERSATION_PATH: 'workflow' });
  const api = await started(startApi(service));
  const breakages: Record<string, () => Promise<void> | void> = {
    refuses: () => temporal.refuse(),
    hangs: () => temporal.blackHole(),
  };
  for (const [how, break_] of Object.entries(breakages)) {
    await break_();
    await untilTemporalIs(api, 'unhealthy');
    expect(await health(api), how).toMatchObject({
      status: 503,
      body: { status: 'unhealthy', reasons: [expect.stringContaining('temporal: it does not answer') as string] },
    });
    // Reads and streams work, and the other processes see the same.
    expect(await ready(api), how).toMatchObject({ status: 200, body: { ready: true, checks: { temporal: false } } });
    expect(await probe(api, '/health/live'), how).toEqual({ status: 200, body: 'OK' });
    await temporal.heal();
    // Keepalive detects a half-open connection: 10 s and 5 s.
    await waitUntil(async () => (await health(api)).status === 200, { what: 'it is healthy again', timeoutMs: 30_000 });
    await untilReady(api, 200);
  }
});

test('an API is degraded and still serves while more operations wait than one conversation queue may hold', async () => {
  const limit = 4;
  const { service, databaseUrl } = await prepare({ ...PATIENT, LANE_MAILBOX_LIMIT: String(limit) });
  const [api] = await Promise.all([started(startApi(service)), started(startWorker(service))]);
  // In each conversation one operation is in flight and one waits. A user may not have more.
  const conversations = await Promise.all(Array.from({ length: limit + 1 }, () => createConversation(api)));
  const letGo = await hold(databaseUrl);
  const sends = conversations.flatMap((conversation) =>
    Array.from({ length: 2 }, () =>
      clientOf(api)
        .send(conversation, message())
        .catch((error: unknown) => error),
    ),
  );
  await waitUntil(
    async () =>
      ((await health(api)).body as { checks: { actors: { status: string } } }).checks.actors.status === 'degraded',
    { what: 'it is degraded' },
  );
  const { status, body } = await health(api);
  expect(status).toBe(200);
  expect(body).toMatchObject({ checks: { actors: { active_actors: limit + 1, status: 'degraded', healthy: false } } });
  expect(await ready(api)).toMatchObject({ status: 200 });
  await letGo();
  await Promise.all(sends);
  await waitUntil(async () => ((await health(api)).body as { status: string }).status === 'healthy', {
    what: 'it is healthy again',
  });
});

test('an API is not ready until every migration is in the database', async () => {
  const { service, pool } = await prepare();
  const { rows } = await pool.query<{ version: number; name: string }>(
    'delete from migration where version = (select max(version) from migration) returning version, name',
  );
  const api = await started(startApi(service, false));
  expect(await ready(api)).toMatchObject({ status: 503, body: { ready: false, checks: { database: false } } });
  await pool.query('insert into migration (version, name) values ($1, $2)', [rows[0]?.version, rows[0]?.name]);
  await untilReady(api, 200);
});

test('an API that gets SIGTERM accepts no new connection, finishes requests in flight, and exits with 0', async () => {
  const { service, databaseUrl } = await prepare(PATIENT);
  const api = await started(startApi(service));
  const conversation = await createConversation(api);
  await clientOf(api).send(conversation, message());
  const letGo = await hold(databaseUrl);
  const inFlight = clientOf(api).send(conversation, message());
  inFlight.catch(() => undefined);
  await waitUntil(
    async () =>
      ((await health(api)).body as { checks: { actors: { active_actors: number } } }).checks.actors.active_actors === 1,
    {
      what: 'the request is in flight',
    },
  );

  const ended = api.stop();
  // A new request gets 503, or no connection: both send the client to another process.
  let status = 200;
  const ask = async (): Promise<boolean> => {
    status = await new Promise<number>((resolve) => {
      const request = get(`${api.url}/health/ready`, { agent: new Agent({ keepAlive: false }) }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.on('error', () => resolve(0));
    });
    return status !== 200;
  };
  await waitUntil(ask, { what: 'it takes no new connection' });
  expect([0, 503]).toContain(status);
  await letGo();
  expect(await inFlight).toMatchObject({ seq: 2, status: 'accepted' });
  expect(await ended).toBe(0);
});

test('during the delay after SIGTERM an API is not ready and serves everything, and a second signal ends the delay', async () => {
  const { service } = await prepare({ SHUTDOWN_DELAY_MS: '60000', CONVERSATION_PATH: 'direct' });
  const api = await started(startApi(service));
  const ended = api.stop();
  expect((await untilReady(api, 503)).body).toMatchObject({ ready: false, checks: { serving: false, database: true } });
  const conversation = await createConversation(api);
  expect(await clientOf(api).send(conversation, message())).toMatchObject({ status: 'accepted' });
  const stream = await fetch(`${api.url}/v1/events`, {
    headers: { authorization: `Bearer ${await tokenOf('alice')}` },
  });
  expect(stream.status).toBe(200);
  // Whoever has a connection asks for the next one, and gets another process.
  expect(stream.headers.get('connection')).toBe('close');
  let events: string | undefined;
  void stream.text().then((text) => (events = text));
  // Signals that come within a second count as one.
  await waitUntil(() => events !== undefined || !process.kill(api.pid, 'SIGTERM'), { what: 'it drains', everyMs: 300 });
  expect(events).toContain('event: reconnect');
  expect(await ended).toBe(0);
});

test('a second signal ends an API at once, even with requests in flight', async () => {
  const { service, databaseUrl } = await prepare(PATIENT);
  const api = await started(startApi(service));
  const conversation = await createConversation(api);
  const letGo = await hold(databaseUrl);
  const inFlight = clientOf(api)
    .send(conversation, message())
    .then(
      () => 'answered',
      () => 'broken',
    );
  await waitUntil(
    async () =>
      ((await health(api)).body as { checks: { actors: { active_actors: number } } }).checks.actors.active_actors === 1,
    {
      what: 'the request is in flight',
    },
  );
  const ended = api.stop();
  await waitUntil(async () => (await ready(api).catch(() => ({ status: 503 }))).status === 503, {
    what: 'it is draining',
  });
  expect(api.isRunning()).toBe(true);
  // Signals that come together with the first one count as the first one.
  await waitUntil(() => !api.isRunning() || !process.kill(api.pid, 'SIGTERM'), { what: 'it ends', everyMs: 300 });
  expect(await ended).toBe(1);
  expect(await inFlight).toBe('broken');
  await letGo();
});

test('an API on auto starts without Temporal, whether it refuses, hangs or has no name, and is degraded and ready', async () => {
  const { service, temporal } = await prepare({ CONVERSATION_PATH: 'auto' });
  temporal.blackHole();
  const [hanging, nameless] = await Promise.all([
    started(startApi(service)),
    started(startApi({ ...service, temporalAddress: 'temporal.invalid:7233' })),
  ]);
  await temporal.refuse();
  const refused = await started(startApi(service));
  for (const api of [refused, hanging, nameless]) {
    expect(await health(api)).toMatchObject({
      status: 200,
      body: { status: 'degraded', checks: { temporal: 'degraded', database: 'healthy' } },
    });
    expect(await ready(api)).toMatchObject({ status: 200, body: { ready: true, checks: { temporal: true } } });
  }
  await temporal.heal();
  await started(startWorker(service));
  await untilTemporalIs(refused, 'healthy');
});

test('a worker starts before Temporal, says so, polls when Temporal is there, and ends at SIGTERM while it waits', async () => {
  const { service, temporal } = await prepare();
  temporal.blackHole();
  const [worker, impatient] = await Promise.all([
    started(startWorker(service, false)),
    started(startWorker(service, false)),
  ]);
  expect(await ready(worker)).toMatchObject({
    status: 503,
    body: { ready: false, checks: { polling: false, temporal: false, database: true } },
  });
  await waitUntil(() => worker.tail().includes('connection to Temporal: not yet'), { what: 'its log says so' });
  expect(await impatient.stop()).toBe(0);
  await temporal.refuse();
  expect((await ready(worker)).status).toBe(503);
  await temporal.heal();
  await untilReady(worker, 200);
  const api = await started(startApi(service));
  const conversation = await createConversation(api);
  expect(await clientOf(api).send(conversation, message())).toMatchObject({ seq: 1, status: 'accepted' });
  expect(await worker.stop()).toBe(0);
});

test('a worker is ready only while it polls and reaches Postgres and Temporal, and it drains and exits with 0', async () => {
  const { service, postgres, temporal } = await prepare();
  const worker = await started(startWorker(service));
  expect(await probe(worker, '/health/live')).toEqual({ status: 200, body: 'OK' });
  expect(await ready(worker)).toMatchObject({
    status: 200,
    body: { ready: true, checks: { polling: true, database: true, temporal: true } },
  });
  await postgres.refuse();
  expect((await untilReady(worker, 503)).body).toMatchObject({ ready: false, checks: { database: false } });
  await postgres.heal();
  await untilReady(worker, 200);
  await temporal.refuse();
  expect((await untilReady(worker, 503)).body).toMatchObject({ ready: false, checks: { temporal: false } });
  await temporal.heal();
  await untilReady(worker, 200);
  expect(await worker.stop()).toBe(0);
});
