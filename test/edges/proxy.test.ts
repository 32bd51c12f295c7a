import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { type Server, connect, createServer } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ParleyClient, createHttp, toBase64, toBase64Url } from '../../client/index.ts';
import { startChild } from '../../local/child.ts';
import { freePort } from '../../local/ports.ts';
import { createCleanup } from '../../process/cleanup.ts';
import { packageRoot } from '../../process/package-root.ts';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { entriesOf, openEventStream } from '../../tools/harness/event-stream.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { type TcpProxy, startTcpProxy } from '../../tools/harness/tcp-proxy.ts';
import { useDatabase } from '../harness/database.ts';
import { useFolder } from '../harness/folder.ts';
import { type NameServer, startNameServer } from '../harness/image/name-server.ts';
import { useService } from '../harness/service.ts';

const haproxy = edgeTool('haproxy') ?? '';
/** Where the API processes are for the proxy: one port, and an address for each, as replicas have. */
const ADDRESSES = ['127.0.0.2', '127.0.0.3'] as const;

describe.skipIf(haproxy === '')('the proxy of docker-compose.yml', () => {
  const folder = useFolder();
  const database = useDatabase();
  const cleanup = createCleanup();
  let postgres: TcpProxy | undefined;
  let reached = { url: '' };
  beforeAll(async () => {
    const address = new URL(database().url);
    postgres = await startTcpProxy(`${address.hostname}:${address.port}`);
    cleanup.add('line to Postgres', postgres.close);
    address.host = postgres.address;
    reached = { url: address.href };
  });
  const service = useService({ apis: 2, workers: 1, env: { TRUST_PROXY: '1' } }, () => reached);
  let url = '';
  let own = '';
  let names: NameServer | undefined;

  beforeAll(async () => {
    const apiPort = await freePort();
    for (const [index, address] of ADDRESSES.entries()) {
      const target = new URL(service().apis[index]?.url ?? '');
      const server = await forward(address, apiPort, Number(target.port));
      cleanup.add(address, () => void server.close());
    }
    // At first one of the two: the other comes later, as a new replica does.
    names = await startNameServer(ADDRESSES.slice(0, 1));
    cleanup.add('name server', names.close);
    const [clients, ports] = [await freePort(), await freePort()];
    const shipped = readFileSync(path.join(packageRoot(), 'ops', 'proxy', 'haproxy.cfg'), 'utf8');
    const file = path.join(folder, 'haproxy.cfg');
    writeFileSync(file, shipped.replace('bind :8080', `bind :${clients}`).replace('bind :8404', `bind :${ports}`));
    const proxy = await startChild({
      command: haproxy,
      args: ['-f', file],
      logFile: path.join(folder, 'haproxy.log'),
      env: { API_HOST: 'api', API_PORT: String(apiPort), DNS_SERVER: names.address },
    });
    cleanup.add('proxy', () => proxy.stop('SIGTERM', 5000));
    url = `http://127.0.0.1:${clients}`;
    own = `http://127.0.0.1:${ports}`;
    await waitUntil(async () => (await statusOf(`${url}/health/ready`)) === 200, { what: 'the proxy finds the API' });
  });
  afterAll(() => cleanup.run());

  const as = (user: string): ParleyClient =>
    new ParleyClient(createHttp({ baseUrl: url, token: () => service().token(user) }));
  const create = async (): Promise<string> => {
    const id = toBase64Url(Buffer.from(randomUUID().replaceAll('-', ''), 'hex'));
    await as('alice').createConversation({
      id,
      protocol: 'opaque',
      members: ['bob'],
      policy: { externalJoin: 'nobody' },
    });
    return id;
  };
  const say = (id: string): Promise<unknown> =>
    as('alice').send(id, { id: randomUUID(), ciphertext: toBase64(Buffer.from('hello')) });
  const metrics = async (): Promise<string> => (await fetch(`${own}/metrics`)).text();
  /** How many processes are up for a backend of the proxy. */
  const upIn = async (backend: string): Promise<number> => {
    const lines = (await metrics()).split('\n').filter((line) => line.includes(`proxy="${backend}"`));
    return lines.filter((line) => /^haproxy_server_status\{.*state="UP"\} 1$/.test(line)).length;
  };
  const up = (): Promise<number> => upIn('api');

  test('headers up to the limit of the API pass, and above it the API says what is wrong', async () => {
    const ask = (bytes: number): Promise<Response> => fetch(`${url}/v1/devices`, { headers: { x: 'x'.repeat(bytes) } });
    expect((await ask(30_000)).status).toBe(401);
    const refused = await ask(40_000);
    expect([refused.status, refused.headers.get('content-type')]).toEqual([
      431,
      'application/problem+json; charset=utf-8',
    ]);
    await refused.body?.cancel();
  });

  test('events of a stream come while it is open', async () => {
    const id = await create();
    const stream = await openEventStream(url, id, await service().token('bob'), { after: 0 });
    expect(stream.status).toBe(200);
    const before = entriesOf(stream).length;
    await say(id);
    await waitUntil(() => entriesOf(stream).length > before, { what: 'the message arrives' });
    expect(stream.endedAt()).toBeUndefined();
    const open = async (): Promise<number> =>
      Number(/^haproxy_backend_current_sessions\{proxy="api"\} (\d+)$/m.exec(await metrics())?.[1]);
    expect(await open()).toBe(1);
    stream.close();
    await waitUntil(async () => (await open()) === 0, { what: 'the proxy closes the stream too', timeoutMs: 3000 });
  });

  test('a new process is found by its name, and gets requests', async () => {
    await waitUntil(async () => (await up()) === 1, { what: 'one process is up' });
    names?.setAddresses(ADDRESSES);
    await waitUntil(async () => (await up()) === 2, { what: 'both processes are up' });
    const counts = async (): Promise<number[]> => Promise.all(service().apis.map((api) => requestsOf(api.url)));
    const before = await counts();
    const id = await create();
    for (let i = 0; i < 10; i++) await say(id);
    const after = await counts();
    for (const [index, count] of after.entries()) expect(count).toBeGreaterThan(before[index] ?? 0);
  });

  test('metrics are not for clients', async () => {
    for (const place of ['/metrics', '/metrics/', '/metrics//']) {
      expect(await statusOf(`${url}${place}`), place).toBe(404);
    }
    expect(await statusOf(`${own}/alive`)).toBe(200);
  });

  test('while PostgreSQL is away, clients hear it from an API process and not from the proxy', async () => {
    const id = await create();
    await postgres?.refuse();
    await waitUntil(async () => (await upIn('api')) === 0, { what: 'no process is ready' });
    const answer = await fetch(`${url}/v1/conversations/${id}/messages?after=0`, {
      headers: { authorization: `Bearer ${await service().token('alice')}` },
    });
    expect(answer.status).toBe(503);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    await postgres?.heal();
    await waitUntil(async () => (await upIn('api')) === 2, { what: 'both are ready again' });
    await say(id);
  });

  test('a process that died costs the client library no request', async () => {
    const id = await create();
    await service().apis[1]?.kill9();
    for (let i = 0; i < 20; i++) await say(id);
    await waitUntil(async () => (await up()) === 1, { what: 'the dead process is out' });
  });
});

async function statusOf(address: string): Promise<number> {
  const response = await fetch(address).catch(() => undefined);
  await response?.body?.cancel();
  return response?.status ?? 0;
}

/** Messages that an API process has taken. */
async function requestsOf(address: string): Promise<number> {
  const text = await (await fetch(`${address}/metrics`)).text();
  const counts = text.matchAll(/^parley_http_request_duration_seconds_count\{method="POST".*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

function forward(address: string, port: number, target: number): Promise<Server> {
  const server = createServer((client) => {
    const api = connect(target, '127.0.0.1');
    client.pipe(api).pipe(client);
    client.on('error', () => api.destroy());
    // As the network answers for a process that is gone.
    api.on('error', () => client.resetAndDestroy());
  });
  return new Promise((resolve) => server.listen(port, address, () => resolve(server)));
}
