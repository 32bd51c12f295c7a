import { once } from 'node:events';
import { connect } from 'node:net';
import { Agent, type IncomingMessage, type RequestListener, get } from 'node:http';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { type RunningServer, startServer } from '../../../api/http/server.ts';

const log = pino({ level: 'silent' });

interface Started extends RunningServer {
  readonly events: string[];
}

async function start(handler: RequestListener, graceMs: number): Promise<Started> {
  const events: string[] = [];
  const server = await startServer({
    handler,
    host: '127.0.0.1',
    port: 0,
    graceMs,
    log,
    onDraining: () => void events.push('not ready'),
    closeStreams: () => void events.push('streams closed'),
  });
  return { ...server, events };
}

/** A request over a connection that stays open. */
function ask(url: string, agent: Agent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      response.resume().on('end', () => resolve(response));
    }).on('error', reject);
  });
}

test('requests in flight are answered, idle connections closed, and new ones refused', async () => {
  let answer: (() => void) | undefined;
  const server = await start((req, res) => {
    if (req.url === '/slow') answer = () => res.end('done');
    else res.end('quick');
  }, 5000);
  const agent = new Agent({ keepAlive: true });
  await ask(`${server.url}/quick`, agent);
  const slow = ask(`${server.url}/slow`, new Agent({ keepAlive: true }));
  await expect.poll(() => answer).toBeDefined();

  const ended = server.shutdown();
  expect(server.events).toEqual(['not ready', 'streams closed']);
  await expect(ask(`${server.url}/quick`, new Agent())).rejects.toThrow(/ECONNREFUSED|ECONNRESET/);
  answer?.();
  expect((await slow).statusCode).toBe(200);
  expect(await ended).toBe(true);
  agent.destroy();
});

test('what takes longer than the grace period is cut off', async () => {
  let isAsked = false;
  const server = await start(() => void (isAsked = true), 200);
  const stuck = ask(server.url, new Agent());
  stuck.catch(() => undefined);
  await expect.poll(() => isAsked).toBe(true);
  const [first, second] = [server.shutdown(), server.shutdown()];
  expect(await first).toBe(false);
  expect(await second).toBe(false);
  await expect(stuck).rejects.toThrow();
});

test('a connection that sends nothing, or no whole head, is closed', async () => {
  const server = await startServer({
    handler: (_, res) => res.end(),
    host: '127.0.0.1',
    port: 0,
    graceMs: 100,
    log,
    headers: { withinMs: 100, checkMs: 20 },
    onDraining: () => undefined,
    closeStreams: () => undefined,
  });
  const closed = ['', 'GET / HTTP/1.1\r\nhost: par', 'GET / HTTP/1.1\r\nhost: parley\r\n\r\nGET'].map(async (head) => {
    const socket = connect(server.port, '127.0.0.1')
      .on('error', () => undefined)
      .resume();
    socket.write(head);
    await once(socket, 'close');
  });
  await Promise.all(closed);
  expect(await server.shutdown()).toBe(true);
});

/** Everything that the server says until it closes the connection. Each part is sent when the one before was answered. */
async function answerTo(port: number, ...parts: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  let said = '';
  socket.setEncoding('utf8').on('data', (text: string) => (said += text));
  for (const [index, part] of parts.entries()) {
    socket.write(part);
    if (index < parts.length - 1) await once(socket, 'data');
  }
  await once(socket, 'close');
  return said;
}

test('a head that cannot be read is answered with a problem, and the connection closed', async () => {
  const server = await startServer({
    handler: (req, res) => {
      if (req.url === '/part') res.write('part');
      else res.end('whole');
    },
    host: '127.0.0.1',
    port: 0,
    graceMs: 100,
    log,
    maxHeaderBytes: 10_000,
    headers: { withinMs: 200, checkMs: 20 },
    onDraining: () => undefined,
    closeStreams: () => undefined,
  });
  const head = (path: string, bytes: number): string =>
    `GET ${path} HTTP/1.1\r\nhost: parley\r\nx: ${'x'.repeat(bytes)}\r\n\r\n`;
  const large = await answerTo(server.port, head('/', 10_000));
  expect(large).toMatch(/^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
  expect(large).toMatch(/^content-type: application\/problem\+json/im);
  expect(large).toMatch(/^connection: close/im);
  const [, body = ''] = large.split('\r\n\r\n');
  expect(JSON.parse(body)).toMatchObject({ type: '/docs/problems/headers-too-large', status: 431, limit: 10_000 });
  expect(Number(/^content-length: (\d+)/im.exec(large)?.[1])).toBe(Buffer.byteLength(body));
  // Many small headers count together, and so does one after a good request too.
  const many = `GET / HTTP/1.1\r\nhost: parley\r\n${'name: value\r\n'.repeat(1900)}\r\n`;
  expect(await answerTo(server.port, many)).toMatch(/^HTTP\/1\.1 431 /);
  expect(await answerTo(server.port, head('/', 9000), head('/', 10_000))).toMatch(/whole[^]*HTTP\/1\.1 431 /);
  expect(await answerTo(server.port, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [^]*"code":"malformed"/);
  expect(await answerTo(server.port, 'GET / HTTP/1.1\r\nhost: par')).toMatch(/^HTTP\/1\.1 408 /);
  // In the middle of an answer nothing else may be written.
  expect(await answerTo(server.port, head('/part', 0), head('/', 10_000))).not.toContain('431');
  await server.shutdown();
});

test('a page of an allowed origin may read that its headers are too large, and no other page', async () => {
  const server = await startServer({
    handler: (_, res) => res.end(),
    host: '127.0.0.1',
    port: 0,
    maxHeaderBytes: 10_000,
    corsOrigins: ['https://app.example'],
    graceMs: 100,
    log,
    onDraining: () => undefined,
    closeStreams: () => undefined,
  });
  const from = (origin: string): Promise<string> =>
    answerTo(server.port, `GET / HTTP/1.1\r\nhost: parley\r\norigin: ${origin}\r\nx: ${'x'.repeat(10_000)}\r\n\r\n`);
  const readable = await from('https://app.example');
  expect(readable).toMatch(/^HTTP\/1\.1 431 /);
  expect(readable).toMatch(/^access-control-allow-origin: https:\/\/app\.example\r$/im);
  expect(await from('https://other.example')).not.toMatch(/^access-control/im);
  await server.shutdown();
});

test('a connection that never sent anything does not hold up the shutdown', async () => {
  const server = await start((_, res) => res.end(), 100_000);
  const silent = connect(server.port, '127.0.0.1');
  await once(silent, 'connect');
  const closed = once(silent, 'close');
  expect(await server.shutdown()).toBe(true);
  await closed;
});

test('a port that is taken fails the start', async () => {
  const server = await start((_, res) => res.end(), 100);
  const again = startServer({
    handler: () => undefined,
    host: '127.0.0.1',
    port: server.port,
    graceMs: 0,
    log,
    onDraining: () => undefined,
    closeStreams: () => undefined,
  });
  await expect(again).rejects.toThrow(/is already in use/);
  await server.shutdown();
});
