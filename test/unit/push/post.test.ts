import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { makeAddresses } from '../../../push/addresses.ts';
import { makePost, retryAfter } from '../../../push/post.ts';
import { startPushEndpoint } from '../../../tools/harness/push-endpoint.ts';

const LOOPBACK = makeAddresses(['127.0.0.0/8']);
const PUBLIC = makeAddresses([]);

function post(addresses = LOOPBACK, timeoutMs = 500) {
  const { post: send, close } = makePost(addresses, { timeoutMs });
  onTestFinished(close);
  return (url: string) => send(url, { 'content-type': 'text/plain' }, 'hello');
}

test('addresses: only public ones, however they are written, and what the configuration adds', () => {
  const inside = [
    ...['127.0.0.1', '10.1.2.3', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '224.0.0.1'],
    ...[
      '::1',
      '::',
      'fe80::1',
      'fc00::1',
      'fd12::1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      '::7f00:1',
      '64:ff9b::7f00:1',
      '2002:7f00:1::',
    ],
    ...['255.255.255.255', '192.0.2.1', '198.18.0.1', 'localhost', ''],
  ];
  for (const address of inside) expect(PUBLIC.isAllowed(address), address).toBe(false);
  for (const address of ['93.184.216.34', '2606:2800:220:1::1']) expect(PUBLIC.isAllowed(address)).toBe(true);
  expect(makeAddresses(['10.0.0.0/8']).isAllowed('10.9.9.9')).toBe(true);
  expect(makeAddresses(['fd00::/8']).isAllowed('fd12::1')).toBe(true);
  expect(makeAddresses(['10.0.0.0/8']).isAllowed('127.0.0.1')).toBe(false);
});

test('a forbidden address is never connected to, whether it stands in the URL or a name points there', async () => {
  const endpoint = await startPushEndpoint();
  onTestFinished(endpoint.close);
  const { port } = new URL(endpoint.url);
  for (const host of ['127.0.0.1', 'localhost', '2130706433', '0x7f.1', '[::1]', '[::ffff:127.0.0.1]']) {
    await expect(post(PUBLIC)(`http://${host}:${port}/`), host).rejects.toThrow('allowed');
  }
  expect(endpoint.received).toEqual([]);
  expect(await post()(`http://localhost:${port}/`)).toEqual({ status: 201, retryAfterMs: undefined });
});

test('the address that was checked is the one that is connected to: a name is looked up once', async () => {
  const endpoint = await startPushEndpoint();
  onTestFinished(endpoint.close);
  let looks = 0;
  const rebinding = {
    ...LOOPBACK,
    lookup: ((_host, options, callback) => {
      looks++;
      LOOPBACK.lookup('localhost', options, callback);
    }) satisfies typeof LOOPBACK.lookup,
  };
  const { port } = new URL(endpoint.url);
  expect(await post(rebinding)(`http://rebinding.invalid:${port}/`)).toMatchObject({ status: 201 });
  expect(looks).toBe(1);
});

test('no redirect is followed, and the times that a service asks for are read', async () => {
  const endpoint = await startPushEndpoint();
  onTestFinished(endpoint.close);
  endpoint.answer('/moved', { status: 307, headers: { location: `${endpoint.url}/elsewhere` } });
  endpoint.answer('/slow-down', { status: 429, headers: { 'retry-after': '7' } });
  expect(await post()(`${endpoint.url}/moved`)).toMatchObject({ status: 307 });
  expect(await post()(`${endpoint.url}/slow-down`)).toEqual({ status: 429, retryAfterMs: 7000 });
  expect(endpoint.received.map(({ path }) => path)).toEqual(['/moved', '/slow-down']);
  const now = Date.parse('2026-01-01T00:00:00Z');
  expect(retryAfter('Thu, 01 Jan 2026 00:01:00 GMT', now)).toBe(60_000);
  expect(retryAfter('soon', now)).toBeUndefined();
});

test('an endpoint that hangs, and one that answers without end, do not hold the sender', async () => {
  const endpoint = await startPushEndpoint();
  onTestFinished(endpoint.close);
  endpoint.answer('/hang', 'hang');
  await expect(post()(`${endpoint.url}/hang`)).rejects.toThrow();
  const endless = createServer((_, response) => {
    response.writeHead(200);
    const more = (): void => {
      if (response.write('x'.repeat(65_536))) setImmediate(more);
      else response.once('drain', more);
    };
    more();
  });
  await new Promise<void>((resolve) => endless.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    endless.closeAllConnections();
    endless.close();
  });
  const { port } = endless.address() as AddressInfo;
  expect(await post(LOOPBACK, 10_000)(`http://127.0.0.1:${port}/`)).toMatchObject({ status: 200 });
});
