import type { RequestListener } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeCrossOrigin } from '../../../api/http/cross-origin.ts';

const APP = 'https://app.example.com';
const OTHER = 'https://evil.example.com';
let asked = 0;
let isDraining = false;

function serve(origins: readonly string[]): { url: () => string } {
  const app: RequestListener = (request, response) => {
    asked++;
    response.writeHead(request.url === '/refused' ? 401 : 200).end('{}');
  };
  const server = createServer(makeCrossOrigin(origins, () => isDraining)(app));
  beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
  afterAll(() => new Promise((resolve) => server.close(resolve)));
  return { url: () => `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
const open = serve([APP, 'capacitor://localhost']);
const closed = serve([]);

const preflight = (url: string, origin: string): Promise<Response> =>
  fetch(url, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'authorization' },
  });

test('a preflight is answered without the app, and says what may be sent', async () => {
  asked = 0;
  const { status, headers } = await preflight(`${open.url()}/v1/anything`, APP);
  expect(status).toBe(204);
  expect(headers.get('access-control-allow-origin')).toBe(APP);
  expect(headers.get('access-control-max-age')).toBe('7200');
  expect(headers.get('access-control-allow-methods')?.split(',')).toContain('PUT');
  const named = headers.get('access-control-allow-headers')?.split(',');
  expect(named).toEqual(
    expect.arrayContaining(['Authorization', 'Content-Type', 'Idempotency-Key', 'If-None-Match', 'Last-Event-ID']),
  );
  expect(named).toEqual(expect.arrayContaining(['Parley-Device', 'traceparent']));
  expect(headers.get('vary')).toBe('Origin');
  expect(headers.get('x-request-id')).toBeTruthy();
  expect(headers.has('access-control-allow-credentials')).toBe(false);
  expect(asked).toBe(0);
});

test.each([OTHER, 'null', '*', `${APP}.evil.example`, `${APP}:8443`, 'http://app.example.com', ''])(
  'the origin "%s" gets no permission, and its answer is not mixed up with that of another',
  async (origin) => {
    for (const answer of [await preflight(open.url(), origin), await fetch(open.url(), { headers: { origin } })]) {
      expect(answer.headers.has('access-control-allow-origin')).toBe(false);
      expect(answer.headers.get('vary')).toBe('Origin');
      expect(answer.headers.get('cross-origin-resource-policy')).toBe('same-origin');
    }
  },
);

test('a page may read answers, also errors, with the headers that clients need', async () => {
  const { status, headers } = await fetch(`${open.url()}/refused`, { headers: { origin: APP } });
  expect(status).toBe(401);
  expect(headers.get('access-control-allow-origin')).toBe(APP);
  expect(headers.get('cross-origin-resource-policy')).toBe('cross-origin');
  expect(headers.get('access-control-expose-headers')?.split(',')).toEqual(
    expect.arrayContaining(['ETag', 'Location', 'RateLimit', 'RateLimit-Policy', 'Retry-After', 'X-Request-Id']),
  );
  const app = await fetch(open.url(), { headers: { origin: 'capacitor://localhost' } });
  expect(app.headers.get('access-control-allow-origin')).toBe('capacitor://localhost');
});

test('a client that is no browser gets only what keeps caches right', async () => {
  const { headers } = await fetch(open.url());
  expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  expect(headers.get('vary')).toBe('Origin');
});

test('an OPTIONS that is no preflight is for the app', async () => {
  asked = 0;
  await fetch(open.url(), { method: 'OPTIONS', headers: { origin: APP } });
  await fetch(open.url(), { method: 'OPTIONS' });
  expect(asked).toBe(2);
});

test('preflights of a process that shuts down close their connection', async () => {
  isDraining = true;
  expect((await preflight(open.url(), APP)).headers.get('connection')).toBe('close');
  isDraining = false;
});

test('without origins nothing is allowed, and preflights are for the app', async () => {
  asked = 0;
  const { headers } = await preflight(closed.url(), APP);
  expect(asked).toBe(1);
  expect(headers.has('access-control-allow-origin')).toBe(false);
  expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
});
