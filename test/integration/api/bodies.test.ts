import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { expect, test } from 'vitest';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { useApi } from '../../harness/api/use-api.ts';

const DEADLINE_MS = 400;
const { service } = useApi(() => ({ requestDeadlineMs: DEADLINE_MS }));

/** Sends the head of a request, and then these bytes of its body. The connection stays open. */
async function send(
  headers: readonly string[],
  body: string | Uint8Array,
): Promise<{ socket: Socket; answer: () => string }> {
  const { hostname, port } = new URL(service.url);
  const socket = connect({ host: hostname, port: Number(port) });
  let text = '';
  socket.on('data', (bytes) => (text += bytes.toString('latin1')));
  await once(socket, 'connect');
  const token = await tokenOf('alice');
  const head = ['POST /v1/conversations HTTP/1.1', 'host: parley', `authorization: Bearer ${token}`, ...headers];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  socket.write(body);
  return { socket, answer: () => text };
}
const JSON_TYPE = 'content-type: application/json';

test.each([
  ['with an announced length', 'content-length: 500', '{"id":'],
  ['in chunks', 'transfer-encoding: chunked', '6\r\n{"id":\r\n'],
])('a body %s that stops before its end is 503 `deadline`', async (_, framing, part) => {
  const { socket, answer } = await send([JSON_TYPE, framing], part);
  await expect.poll(answer).toMatch(/^HTTP\/1\.1 503 [^]*"detail":"The body did not arrive in time","code":"deadline"/);
  socket.destroy();
});

test('a request whose client goes away before the end of the body ends without an error', async () => {
  const before = service.observed.length;
  const { socket, answer } = await send([JSON_TYPE, 'content-length: 500', 'expect: 100-continue'], '{"id":');
  // The service asks for the body, so the request has begun.
  await expect.poll(answer).toMatch(/^HTTP\/1\.1 100 /);
  socket.destroy();
  await expect.poll(() => service.observed.length).toBe(before + 1);
  expect(service.logs().filter(({ level }) => level === 'error')).toEqual([]);
});

test('a chunked body that grows beyond the limit is refused before its end', async () => {
  const chunk = ' '.repeat(1024 * 1024);
  const { socket, answer } = await send([JSON_TYPE, 'transfer-encoding: chunked'], '');
  for (let i = 0; i < 9; i++) socket.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);
  await expect.poll(answer).toMatch(/^HTTP\/1\.1 413 [^]*"code":"too-large","limit":8388608/);
  socket.destroy();
});

test('the connection serves the next request after a body was refused', async () => {
  const { socket, answer } = await send([JSON_TYPE, 'content-length: 3'], '{x}');
  await expect.poll(answer).toMatch(/"detail":"The body is not JSON"/);
  socket.write('GET /health/live HTTP/1.1\r\nhost: parley\r\n\r\n');
  await expect.poll(answer).toMatch(/HTTP\/1\.1 400 [^]*HTTP\/1\.1 200 /);
  socket.destroy();
});

test.each([
  ['a byte order mark', Buffer.from('\ufeff{}'), 'The body is not JSON'],
  ['UTF-16', Buffer.from('{}', 'utf16le'), 'The body is not JSON'],
  ['half of a character', Buffer.from([0x22, 0xe2, 0x82, 0x22]), 'The body is not UTF-8'],
])('%s is malformed', async (_, raw, detail) => {
  const answer = await service.ask('POST /v1/conversations', { user: 'alice', raw });
  expect([answer.status, answer.body.code, answer.body.detail]).toEqual([400, 'malformed', detail]);
});
