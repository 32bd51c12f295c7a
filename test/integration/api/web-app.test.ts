import { connect } from 'node:net';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { useApi } from '../../harness/api/use-api.ts';
import { useFolder } from '../../harness/folder.ts';

const folder = path.join(useFolder(), 'web');
mkdirSync(path.join(folder, 'assets'), { recursive: true });
writeFileSync(path.join(folder, 'index.html'), '<!doctype html><title>Parley</title>');
writeFileSync(path.join(folder, 'service-worker.js'), '// works');
writeFileSync(path.join(folder, 'assets', 'index-AbCd1234.js'), '// runs');
writeFileSync(path.join(folder, '..', 'secret.txt'), 'secret');

describe('without the web app', () => {
  const { service } = useApi();

  test('its paths are not found, as any other', async () => {
    for (const where of ['/app', '/app/', '/app/index.html', '/app/config.json']) {
      const answer = await fetch(`${service.url}${where}`);
      expect([where, answer.status, answer.headers.get('content-type')]).toEqual([
        where,
        404,
        'application/problem+json; charset=utf-8',
      ]);
      expect(await answer.json()).toMatchObject({ code: 'not-found' });
    }
  });
});

describe('with the web app', () => {
  const config = { control: 'http://localhost:8092' };
  const { service } = useApi(() => ({ webApp: { folder, config } }));
  const get = (where: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${service.url}${where}`, { redirect: 'manual', ...init });

  test('the page comes with a policy that allows only its own files, the API and the control server', async () => {
    const page = await get('/app/?user=alice');
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('<title>Parley</title>');
    expect(page.headers.get('content-security-policy')?.split(';')).toEqual([
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data:",
      "manifest-src 'self'",
      "worker-src 'self'",
      "connect-src 'self' http://localhost:8092",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      'trusted-types parley',
    ]);
    expect(page.headers.get('cross-origin-opener-policy')).toBe('same-origin');
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
  });

  test('browsers keep what has a hash in its name for ever, and ask again for everything else', async () => {
    for (const [where, kept] of [
      ['/app/', 'no-cache'],
      ['/app/service-worker.js', 'no-cache'],
      ['/app/assets/index-AbCd1234.js', 'public, max-age=31536000, immutable'],
      ['/app/config.json', 'no-store'],
    ] as const) {
      const answer = await get(where);
      expect([where, answer.status, answer.headers.get('cache-control')]).toEqual([where, 200, kept]);
    }
    const etag = (await get('/app/')).headers.get('etag') ?? '';
    // By hand: `fetch` would ask for the whole file.
    expect(await rawGet(service.url, '/app/', `If-None-Match: ${etag}\r\n`)).toMatch(/^HTTP\/1\.1 304 /);
  });

  test('config.json says where the page runs, and nothing else', async () => {
    const answer = await get('/app/config.json');
    expect(await answer.json()).toEqual({ control: 'http://localhost:8092' });
  });

  test('without a slash it leads to the page, with the same parameters', async () => {
    const answer = await get('/app?join=abc');
    expect([answer.status, answer.headers.get('location')]).toEqual([308, '/app/?join=abc']);
  });

  test.each([
    '/app/../secret.txt',
    '/app/%2e%2e/secret.txt',
    '/app/..%2fsecret.txt',
    '/app/assets/..%2f..%2f..%2fsecret.txt',
    '/app/%00',
    '/app/.hidden',
    '/app/nothing.js',
    '/app/assets/',
  ])('%s gives no file from elsewhere', async (where) => {
    const answer = await rawGet(service.url, where);
    expect(answer).not.toContain('secret\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 (?:400|403|404) /);
    expect(answer).toContain('application/problem+json');
  });

  test.each(['/app/assets/index-AbCd1234.js', '/docs/assets/standalone.js'])(
    '%s is sent whole, and what is wrong with a request is never kept',
    async (where) => {
      expect(await rawGet(service.url, where, 'Range: bytes=900000000-\r\n')).toMatch(/^HTTP\/1\.1 200 /);
      const answer = await rawGet(service.url, where, 'If-Match: "x"\r\n');
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(answer).toMatch(/\r\ncache-control: no-store\r\n/i);
      expect(answer).not.toMatch(/\r\n(?:etag|last-modified):/i);
      expect(answer).toContain('"code":"malformed"');
    },
  );

  test('it is only read', async () => {
    const answer = await get('/app/', { method: 'POST' });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });
});

/** A request whose path goes out as it is: `fetch` would shorten it. */
function rawGet(url: string, where: string, headers = ''): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write(`GET ${where} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n${headers}\r\n`);
    });
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    socket.on('end', () => resolve(text)).on('error', reject);
  });
}
