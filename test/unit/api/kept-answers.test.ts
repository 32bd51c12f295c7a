import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { makeCrossOrigin } from '../../../api/http/cross-origin.ts';
import { makeKeptAnswers } from '../../../api/http/kept-answers.ts';

interface Started {
  readonly url: string;
  /** Paths that the app had to answer. */
  readonly asked: string[];
  readonly wait: (ms: number) => void;
  readonly drain: () => void;
}

/** A server whose app answers `/kept` for a second, and everything else once. */
async function start(): Promise<Started> {
  let now = 0;
  let isDraining = false;
  const asked: string[] = [];
  const kept = makeKeptAnswers(() => now);
  const crossOrigin = makeCrossOrigin(['https://one.example', 'https://two.example'], () => isDraining);
  const listener = crossOrigin(
    kept.before(
      (request, response) => {
        asked.push(`${request.method ?? ''} ${request.url ?? ''}`);
        response.statusCode = 503;
        response.setHeader('X-Request-Id', 'first');
        response.setHeader('Content-Type', 'text/plain');
        response.setHeader('Content-Length', 4);
        response.end('down');
        if (request.url?.startsWith('/kept') === true) kept.keep(request, response, 'down', 1000);
      },
      () => isDraining,
    ),
  );
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, asked, wait: (ms) => (now += ms), drain: () => (isDraining = true) };
}

test('an answer is given again for its time, whatever the query, with an id of its own', async () => {
  const { url, asked, wait } = await start();
  await fetch(`${url}/kept`);
  for (const path of ['/kept', '/kept?a', '/kept?b=1']) {
    const answer = await fetch(`${url}${path}`, { headers: { 'x-request-id': 'mine' } });
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
      503,
      'text/plain',
      'down',
    ]);
    expect(answer.headers.get('x-request-id')).toBe('mine');
  }
  const head = await fetch(`${url}/kept`, { method: 'HEAD' });
  expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([503, '4', '']);
  expect(head.headers.get('x-request-id')).not.toBe('first');
  expect(asked).toEqual(['GET /kept']);
  wait(1000);
  await fetch(`${url}/kept`);
  expect(asked).toEqual(['GET /kept', 'GET /kept']);
});

test('each page gets the permission of its own origin with an answer that is given again', async () => {
  const { url, asked } = await start();
  for (const origin of ['https://one.example', 'https://two.example', 'https://three.example']) {
    const { headers } = await fetch(`${url}/kept`, { headers: { origin } });
    const isAllowed = origin !== 'https://three.example';
    expect(headers.get('access-control-allow-origin')).toBe(isAllowed ? origin : null);
    expect(headers.get('cross-origin-resource-policy')).toBe(isAllowed ? 'cross-origin' : 'same-origin');
  }
  expect(asked).toEqual(['GET /kept']);
});

test('other methods, other paths and a process that shuts down get no kept answer', async () => {
  const { url, asked, drain } = await start();
  await fetch(`${url}/kept`);
  await fetch(`${url}/kept`, { method: 'POST' });
  await fetch(`${url}/other`);
  await fetch(`${url}/other`);
  drain();
  await fetch(`${url}/kept`);
  expect(asked).toEqual(['GET /kept', 'POST /kept', 'GET /other', 'GET /other', 'GET /kept']);
});

test('the number of kept answers is bounded', async () => {
  const { url, asked } = await start();
  for (let i = 0; i < 20; i++) await fetch(`${url}/kept/${i}`);
  for (let i = 0; i < 20; i++) await fetch(`${url}/kept/${i}`);
  expect(asked).toHaveLength(24);
});
