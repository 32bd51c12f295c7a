import { EventEmitter, once } from 'node:events';
import { type IncomingMessage, type ServerResponse, createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import compression from 'compression';
import express from 'express';
import { createProxyServer } from 'httpxy';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Connection } from '../../../streams/connection.ts';
import { event } from '../../../streams/event.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useCleanup } from '../../harness/cleanup.ts';

const later = useCleanup();

/** A server whose every request opens a stream. */
async function serve(hints: number[] = []): Promise<{ readonly url: string; readonly opened: Connection[] }> {
  const opened: Connection[] = [];
  const owner = { onDrain: () => undefined, onClose: () => undefined };
  const server = createServer((_request, response) => {
    opened.push(new Connection(response, Infinity, () => hints.shift() ?? 1, owner));
  });
  return { url: await listening(server), opened };
}

async function listening(server: ReturnType<typeof createServer>): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  later('server', () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The proxy that many have before their API: it compresses whatever it may. */
async function compressing(target: string): Promise<string> {
  const proxy = createProxyServer({ target });
  const app = express();
  app.use(compression({ threshold: 0 }));
  app.use((request, response, next) => {
    proxy.web(request, response).catch(next);
  });
  return listening(createServer(app));
}

async function open(url: string): Promise<{ readonly head: IncomingMessage['headers']; readonly came: () => string }> {
  let came = '';
  const request = get(url, { agent: false, headers: { 'accept-encoding': 'gzip, deflate, br' } });
  later('reader', () => void request.destroy());
  request.on('error', () => undefined);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.setEncoding('latin1').on('data', (chunk: string) => (came += chunk));
  return { head: response.headers, came: () => came };
}

test.each(['directly', 'behind a proxy that compresses'])(
  'the first bytes and each event come at once: %s',
  async (how) => {
    const { url, opened } = await serve([2345]);
    const reader = await open(how === 'directly' ? url : await compressing(url));
    expect(reader.head['cache-control']).toBe('no-store, no-transform');
    expect(reader.head['x-accel-buffering']).toBe('no');
    await waitUntil(() => reader.came() === 'retry: 2345\n\n', { what: 'the first bytes' });
    opened[0]?.write(event('low-stock', { available: 1 }));
    await waitUntil(() => reader.came().includes('"available":1'), { what: 'the event, while the stream is open' });
  },
);

test('`reconnect` says again when to come back, other ends do not', async () => {
  const { url, opened } = await serve([1, 2, 777, 888]);
  const [first, second] = [await open(url), await open(url)];
  opened[0]?.end('reconnect');
  opened[1]?.end('replaced');
  await waitUntil(() => first.came().includes('reconnect') && second.came().includes('replaced'), { what: 'the ends' });
  expect(first.came()).toBe('retry: 1\n\nretry: 777\nevent: reconnect\ndata: {}\n\n');
  expect(second.came()).toBe('retry: 2\n\nevent: replaced\ndata: {}\n\n');
});

describe('a reader that takes nothing', () => {
  const SLOW_MS = 5000;
  const CHECK_MS = 250;

  /** A connection whose reader has taken nothing since it was opened. */
  function stuck(): { readonly passes: (ms: number) => boolean; readonly take: (bytes: number) => void } {
    let now = 1;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
    onTestFinished(() => clock.mockRestore());
    const response = Object.assign(new EventEmitter(), {
      writableLength: 100,
      writeHead: () => undefined,
      write: () => false,
    });
    const owner = { onDrain: () => undefined, onClose: () => undefined };
    const connection = new Connection(response as unknown as ServerResponse, Infinity, () => 1, owner);
    connection.write(event('low-stock', { available: 1 }));
    return {
      passes: (ms) => {
        now += ms;
        return connection.check(0, SLOW_MS);
      },
      take: (bytes) => (response.writableLength -= bytes),
    };
  }

  test('is slow after its time, and any byte that it takes gives it the whole time again', () => {
    const { passes, take } = stuck();
    const untilSlow = (): number => {
      let ms = CHECK_MS;
      while (!passes(CHECK_MS)) ms += CHECK_MS;
      return ms;
    };
    expect(untilSlow()).toBe(SLOW_MS);
    take(1);
    // The first check finds that it took something.
    expect(untilSlow()).toBe(SLOW_MS + CHECK_MS);
  });

  test('is not slow because its process stood still for longer than that, and is when it takes nothing afterwards', () => {
    const { passes } = stuck();
    for (let ms = 0; ms < SLOW_MS / 2; ms += CHECK_MS) expect(passes(CHECK_MS)).toBe(false);
    expect(passes(10 * SLOW_MS)).toBe(false);
    // Half of its time is over, and a late check counts for little.
    let left = 0;
    while (!passes(CHECK_MS)) left += CHECK_MS;
    expect(left).toBeLessThan(SLOW_MS / 2);
    expect(left).toBeGreaterThan(SLOW_MS / 4);
  });
});
