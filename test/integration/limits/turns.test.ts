import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { expect, test } from 'vitest';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { createConversation } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';

const DEADLINE_MS = 3000;
const { service } = useApi(() => ({ turns: { perUser: 2, waitingPerUser: 2 }, requestDeadlineMs: DEADLINE_MS }));

/** A request whose body never ends: it holds its turn. */
async function hold(user: string): Promise<Socket> {
  const { hostname, port } = new URL(service.url);
  const socket = connect({ host: hostname, port: Number(port) }).on('error', () => undefined);
  let text = '';
  socket.on('data', (bytes) => (text += bytes.toString()));
  await once(socket, 'connect');
  const authorization = `authorization: Bearer ${await tokenOf(user)}`;
  const head = ['POST /v1/conversations HTTP/1.1', 'host: parley', authorization, 'content-type: application/json'];
  socket.write([...head, 'expect: 100-continue', 'content-length: 100', '', '{'].join('\r\n'));
  // The request has begun.
  await waitUntil(() => text.startsWith('HTTP/1.1 100'), { what: 'the service wants the body' });
  return socket;
}

test('requests of a user wait behind those that are served, too many are refused, and others pass them', async () => {
  const id = await createConversation(service, ['mallory', 'bob'], { protocol: 'opaque' });
  const read = (user: string): ReturnType<typeof service.ask> => service.ask(`GET /v1/conversations/${id}`, { user });
  const held = [await hold('mallory'), await hold('mallory')];
  const waiting = [read('mallory'), read('mallory'), read('mallory')];
  const refused = await Promise.race(waiting);
  expect([refused.status, refused.body.code]).toEqual([503, 'overloaded']);
  expect(refused.headers.get('retry-after')).toBe('1');
  expect((await read('bob')).status).toBe(200);
  for (const socket of held) socket.destroy();
  const statuses = (await Promise.all(waiting)).map(({ status }) => status);
  expect(statuses.sort()).toEqual([200, 200, 503]);
});

test('a request whose turn does not come is answered at its deadline', async () => {
  const held = [await hold('trudy'), await hold('trudy')];
  const answer = await service.ask('GET /v1/conversations', { user: 'trudy' });
  // The bodies that hold the turns end at the same time.
  expect([200, 503]).toContain(answer.status);
  for (const socket of held) socket.destroy();
  await waitUntil(async () => (await service.ask('GET /v1/conversations', { user: 'trudy' })).status === 200, {
    what: 'the turns are free again',
  });
});
