import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { useDatabase } from '../../harness/database.ts';
import { type World, startWorld } from './world.ts';

const database = useDatabase();
let world: World;
let authorization: string;
beforeAll(async () => {
  world = await startWorld(database().pool);
  authorization = `authorization: Bearer ${await tokenOf('user-0')}`;
});
afterAll(() => world.stop());

const JSON_TYPE = 'content-type: application/json';
const POST = 'POST /v1/conversations HTTP/1.1';
const CHUNKED = 'transfer-encoding: chunked';
const BODY = '{"id":"AAAAAAAAAAAAAAAAAAAAAA","protocol":"opaque"}';

/** Head lines, then the bytes of the body as they are sent. */
interface Exchange {
  readonly name: string;
  readonly head: readonly string[];
  readonly body?: readonly string[];
}

function exchanges(): Exchange[] {
  const post = [POST, 'host: parley', authorization, JSON_TYPE];
  const get = ['host: parley', authorization];
  return [
    { name: 'a chunk that is no number', head: [...post, CHUNKED], body: ['zz\r\n{}\r\n0\r\n\r\n'] },
    { name: 'a chunk longer than it says', head: [...post, CHUNKED], body: ['1\r\n{}}}}}}\r\n0\r\n\r\n'] },
    { name: 'a chunk of astronomic size', head: [...post, CHUNKED], body: ['ffffffffffffffffff\r\n{}'] },
    { name: 'chunks without an end', head: [...post, CHUNKED], body: ['2\r\n{}\r\n'] },
    { name: 'a body of one byte at a time', head: [...post, `content-length: ${BODY.length}`], body: Array.from(BODY) },
    { name: 'a body shorter than it says', head: [...post, 'content-length: 500'], body: [BODY] },
    { name: 'a body longer than it says', head: [...post, 'content-length: 2'], body: ['{}}}}}}}'] },
    { name: 'two lengths', head: [...post, 'content-length: 2', 'content-length: 3'], body: ['{}'] },
    { name: 'a length and chunks', head: [...post, 'content-length: 2', CHUNKED], body: ['0\r\n\r\n'] },
    { name: 'a negative length', head: [...post, 'content-length: -1'], body: ['{}'] },
    { name: 'a length beyond every limit', head: [...post, 'content-length: 99999999999'], body: ['{}'] },
    {
      name: 'headers beyond the limit',
      head: ['GET /v1/conversations HTTP/1.1', ...get, `x-long: ${'x'.repeat(40_000)}`],
    },
    {
      name: 'two thousand headers',
      head: ['GET /v1/conversations HTTP/1.1', ...get, ...Array.from({ length: 2000 }, (_, i) => `x-${i}: ${i}`)],
    },
    { name: 'a path beyond the limit', head: [`GET /v1/conversations/${'a'.repeat(40_000)} HTTP/1.1`, ...get] },
    { name: 'a path of raw bytes', head: ['GET /v1/conversations/\u00ff\u00fe HTTP/1.1', ...get] },
    { name: 'a whole URL as its path', head: ['GET http://elsewhere/v1/conversations HTTP/1.1', ...get] },
    { name: 'no path', head: ['GET  HTTP/1.1', ...get] },
    { name: 'the asterisk', head: ['OPTIONS * HTTP/1.1', ...get] },
    { name: 'a tunnel', head: ['CONNECT elsewhere:443 HTTP/1.1', ...get] },
    {
      name: 'another protocol',
      head: ['GET /v1/conversations HTTP/1.1', ...get, 'connection: upgrade', 'upgrade: h2c'],
    },
    { name: 'an old version', head: ['GET /v1/conversations HTTP/1.0', ...get] },
    { name: 'a version to come', head: ['GET /v1/conversations HTTP/9.9', ...get] },
    { name: 'no host', head: ['GET /v1/conversations HTTP/1.1', authorization] },
    { name: 'a folded header', head: ['GET /v1/conversations HTTP/1.1', ...get, 'x-folded: a\r\n b'] },
    { name: 'a header with NUL', head: ['GET /v1/conversations HTTP/1.1', ...get, 'x-nul: a\u0000b'] },
    { name: 'an expectation', head: [...post, 'expect: 100-continue', `content-length: ${BODY.length}`], body: [BODY] },
    { name: 'an expectation nobody knows', head: [...post, 'expect: the worst', 'content-length: 2'], body: ['{}'] },
    { name: 'no HTTP at all', head: ['\u0016\u0003\u0001\u0002\u0000\u0001'] },
  ];
}

describe('over a bare connection', () => {
  test('the service refuses or disconnects requests that are not valid HTTP, without a server error, and keeps serving', async () => {
    for (const exchange of exchanges()) {
      const answer = await send(exchange);
      // No answer: the service closed the connection.
      const status = Number(
        /^HTTP\/1\.\d (\d{3})/.exec(answer.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, ''))?.[1] ?? 400,
      );
      expect(status, `${exchange.name}: ${answer.slice(0, 300)}`).toBeLessThan(500);
      const alive = await world.sender.send({ method: 'GET', target: '/health/live', headers: {} });
      expect(alive.status, exchange.name).toBe(200);
    }
    expect(world.errors()).toEqual([]);
  });

  test('the service refuses or disconnects random bytes', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const bytes = Array.from({ length: 60 }, (_, i) => String.fromCharCode((seed * 7919 + i * i * 31) % 256)).join(
        '',
      );
      const answer = await send({ name: `seed ${seed}`, head: [bytes] });
      expect(Number(/^HTTP\/1\.\d (\d{3})/.exec(answer)?.[1] ?? 400)).toBeLessThan(500);
    }
    expect((await world.sender.send({ method: 'GET', target: '/health/live', headers: {} })).status).toBe(200);
  });
});

/** Sends an exchange and half-closes the connection. @returns all bytes of the answer */
function send({ head, body = [] }: Exchange): Promise<string> {
  const { hostname, port } = new URL(world.service.url);
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect({ host: hostname, port: Number(port), noDelay: true }, () => void write());
    const write = async (): Promise<void> => {
      for (const part of [`${head.join('\r\n')}\r\n\r\n`, ...body]) {
        if (socket.destroyed) return;
        await new Promise<void>((written) => socket.write(Buffer.from(part, 'latin1'), () => written()));
      }
      socket.end();
    };
    socket.on('data', (bytes) => (answer += bytes.toString('latin1')));
    // A connection reset is also a refusal.
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
  });
}
