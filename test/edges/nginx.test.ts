import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type ClientHttp2Session, type IncomingHttpHeaders, connect } from 'node:http2';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toBase64, toBase64Url } from '../../client/index.ts';
import { type Child, startChild } from '../../local/child.ts';
import { freePort, portAnswers } from '../../local/ports.ts';
import { createCleanup } from '../../process/cleanup.ts';
import { packageRoot } from '../../process/package-root.ts';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { useFolder } from '../harness/folder.ts';
import { useService } from '../harness/service.ts';

const nginx = edgeTool('nginx') ?? '';
const STRANGERS = 3;
const fixture = (name: string): string => path.join(packageRoot(), 'test', 'fixtures', 'tls', name);

describe.skipIf(nginx === '')('nginx with the configuration that we ship, TLS and HTTP/2', () => {
  const folder = useFolder();
  const cleanup = createCleanup();
  const service = useService({
    apis: 1,
    workers: 1,
    env: { TRUST_PROXY: '1', RATE_LIMIT_UNAUTHENTICATED: String(STRANGERS) },
  });
  let proxy: Child | undefined;
  let session: ClientHttp2Session | undefined;
  beforeAll(async () => {
    const port = await freePort();
    const api = new URL(service().apis[0]?.url ?? '').host;
    mkdirSync(path.join(folder, 'temp'));
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (what) => `${what}_temp_path ${folder}/temp/${what};`,
    );
    const shipped = readFileSync(path.join(packageRoot(), 'ops', 'proxy', 'nginx.conf'), 'utf8');
    const file = path.join(folder, 'nginx.conf');
    writeFileSync(
      file,
      shipped
        .replace('127.0.0.1:8080;', `${api};`)
        .replace('listen 8443', `listen 127.0.0.1:${port}`)
        .replace('/etc/ssl/parley.pem', fixture('server.pem'))
        .replace('/etc/ssl/parley.key', fixture('server.key.pem'))
        .replace('http {', `http { ${temporary.join(' ')}`),
    );
    const user = process.getuid?.() === 0 ? 'user root; ' : '';
    proxy = await startChild({
      command: nginx,
      args: ['-p', folder, '-c', file, '-g', `${user}daemon off; pid ${folder}/pid; lock_file ${folder}/lock;`],
      logFile: path.join(folder, 'nginx.log'),
    });
    cleanup.add('proxy', () => proxy?.stop('SIGTERM', 5000));
    await waitUntil(() => portAnswers(port), { what: 'nginx listens' });
    session = connect(`https://127.0.0.1:${port}`, { ca: readFileSync(fixture('ca.pem')) });
    cleanup.add('session', () => session?.destroy());
    await once(session, 'connect');
    expect(session.alpnProtocol).toBe('h2');
  });
  afterAll(() => cleanup.run());

  interface Answer {
    readonly head: IncomingHttpHeaders & { readonly ':status'?: number };
    readonly came: () => string;
    readonly ended: Promise<unknown>;
    readonly close: () => void;
  }

  async function ask(
    method: string,
    target: string,
    { user, body, headers = {} }: { user?: string; body?: unknown; headers?: Readonly<Record<string, string>> },
  ): Promise<Answer> {
    if (session === undefined) throw new Error('nginx runs only while tests run');
    const token = user === undefined ? undefined : await service().token(user);
    const request = session.request({
      ':method': method,
      ':path': target,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    });
    let came = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (came += chunk));
    const ended = new Promise((resolve) => request.once('close', resolve));
    request.end(body === undefined ? undefined : JSON.stringify(body));
    const [head] = (await once(request, 'response')) as [Answer['head']];
    return { head, came: () => came, ended, close: () => request.close() };
  }

  async function create(): Promise<string> {
    const id = toBase64Url(Buffer.from(randomUUID().replaceAll('-', ''), 'hex'));
    const body = { id, protocol: 'opaque', members: ['bob'], policy: { externalJoin: 'nobody' } };
    const { head } = await ask('POST', '/v1/conversations', { user: 'alice', body });
    expect(head[':status']).toBe(201);
    return id;
  }
  const say = async (id: string, bytes = 5): Promise<Answer> => {
    const body = { id: randomUUID(), ciphertext: toBase64(new Uint8Array(bytes)) };
    const answer = await ask('POST', `/v1/conversations/${id}/messages`, { user: 'alice', body });
    await answer.ended;
    return answer;
  };

  test('a stream begins at once, and its events come while it is open', async () => {
    const id = await create();
    for (const target of [`/v1/conversations/${id}/events?after=latest`, '/v1/events']) {
      const stream = await ask('GET', target, { user: 'bob', headers: { 'accept-encoding': 'gzip, br' } });
      expect(stream.head[':status']).toBe(200);
      expect(stream.head['content-encoding']).toBeUndefined();
      await waitUntil(() => stream.came().startsWith('retry: '), { what: 'the first bytes' });
      for (let i = 1; i <= 3; i++) {
        await say(id);
        const entries = (): number => stream.came().split('event: entry').length - 1;
        await waitUntil(() => entries() >= i, { what: `message ${i}` });
      }
      stream.close();
    }
  });

  test('the largest bodies reach the API, which answers what is larger itself', async () => {
    const id = await create();
    expect((await say(id, 700_000)).head[':status']).toBe(200);
    const larger = await say(id, 1_000_000);
    expect(larger.head[':status']).toBe(413);
    expect(larger.head['content-type']).toContain('application/problem+json');
    const body = { commit: toBase64(new Uint8Array(6_000_000)) };
    const commit = await ask('POST', `/v1/conversations/${id}/commits`, { user: 'alice', body });
    await commit.ended;
    expect(commit.head[':status']).toBe(200);
  });

  test('no log of the proxy has a query', async () => {
    const secret = `ticket-${randomUUID()}`;
    const answer = await ask('GET', `/v1/events?ticket=${secret}`, { user: 'bob' });
    answer.close();
    await waitUntil(() => (proxy?.tail(1000) ?? '').includes('GET /v1/events '), { what: 'the line of the request' });
    expect(proxy?.tail(1000)).not.toContain(secret);
  });

  test('metrics are not for clients', async () => {
    for (const target of ['/metrics', '/metrics/', '//metrics']) {
      expect((await ask('GET', target, {})).head[':status'], target).toBe(404);
    }
  });

  test('who claims another address in X-Forwarded-For is counted by the real one', async () => {
    const statuses: (number | undefined)[] = [];
    for (let i = 0; i <= STRANGERS; i++) {
      const headers = { 'x-forwarded-for': `203.0.113.${i}` };
      statuses.push((await ask('GET', '/v1/conversations', { headers })).head[':status']);
    }
    expect(statuses).toEqual([...Array.from({ length: STRANGERS }, () => 401), 429]);
  });
});
