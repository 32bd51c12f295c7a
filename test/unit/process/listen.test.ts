import { createServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { startServer } from '../../../api/http/server.ts';
import { hostAndPort, listenAddress, listenOn, type Open, reachableAddress } from '../../../process/listen.ts';
import { StartError } from '../../../domain/start-error.ts';
import { startAdminServer } from '../../../worker/admin-server.ts';

/** Some machines have IPv4 only. */
const LOOPBACKS = ['127.0.0.1', ...(networkInterfaces().lo?.some(({ address }) => address === '::1') ? ['::1'] : [])];
const opened: Server[] = [];
afterEach(() => {
  for (const server of opened.splice(0)) server.close();
});

const failing =
  (code: string): Open =>
  () =>
    Promise.reject(Object.assign(new Error(code), { code }));

async function statusAt(host: string, port: number): Promise<number> {
  return (await fetch(`http://${hostAndPort(host, port)}/health/live`)).status;
}

describe('all addresses', () => {
  test('the API answers on IPv4 and on IPv6', async () => {
    const server = await startServer({
      handler: (_request, response) => response.end('here'),
      host: '::',
      port: 0,
      graceMs: 1000,
      log: pino({ level: 'silent' }),
      onDraining: () => undefined,
      closeStreams: () => undefined,
    });
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`);
    for (const host of LOOPBACKS) expect(await statusAt(host, server.port)).toBe(200);
    await server.shutdown();
  });

  test('so does the port of the worker', async () => {
    const server = await startAdminServer({
      host: '::',
      port: 0,
      ready: () => Promise.resolve({}),
      metrics: () => Promise.resolve({ contentType: 'text/plain', text: '' }),
    });
    opened.push(server);
    const { port } = server.address() as AddressInfo;
    for (const host of LOOPBACKS) expect(await statusAt(host, port)).toBe(200);
  });

  test.each(['EAFNOSUPPORT', 'EADDRNOTAVAIL'])('where the system has no IPv6 (%s), those of IPv4', async (code) => {
    expect(await listenAddress('::', failing(code))).toBe('0.0.0.0');
  });
});

describe('one address', () => {
  test('a name becomes an address', async () => {
    expect(['127.0.0.1', '::1']).toContain(await listenAddress('localhost'));
    expect(await listenAddress('::1')).toBe('::1');
  });

  test('an unknown name is a sentence', async () => {
    await expect(listenAddress('no-such-name.invalid')).rejects.toThrow(
      new StartError('HOST is no-such-name.invalid, a name that is not known here. Set it to an address.'),
    );
  });

  test('a port in use is a sentence that names the variable', async () => {
    const first = createServer();
    opened.push(first);
    const port = await listenOn(first, { address: '127.0.0.1', port: 0, variable: 'PORT' });
    await expect(listenOn(createServer(), { address: '127.0.0.1', port, variable: 'ADMIN_PORT' })).rejects.toThrow(
      `Port ${port} (ADMIN_PORT) is already in use on 127.0.0.1. Set ADMIN_PORT to another port, or stop the other program.`,
    );
  });

  test.each([
    ['EACCES', 'Port 80 (PORT) needs rights that this process does not have. Set PORT to a port above 1023.'],
    ['EADDRNOTAVAIL', 'HOST is 2001:db8::1, which is no address of this machine.'],
    ['EMFILE', 'Cannot listen on [2001:db8::1]:80 (HOST, PORT): EMFILE.'],
  ])('so is %s', async (code, sentence) => {
    const where = { address: '2001:db8::1', port: 80, variable: 'PORT' };
    await expect(listenOn(createServer(), where, failing(code))).rejects.toThrow(sentence);
  });
});

test('programs on the same machine reach all addresses by the loopback one', () => {
  expect(['::', '0.0.0.0', '::1', '10.0.0.1'].map(reachableAddress)).toEqual([
    '127.0.0.1',
    '127.0.0.1',
    '::1',
    '10.0.0.1',
  ]);
});
