import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { AppDeps } from '../../../api/app.ts';
import type { InProcessApi } from '../../../tools/harness/in-process-api.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { startApi, useApi } from '../../harness/api/use-api.ts';

const DEADLINE_MS = 3000;
/** Longer than any test: turns end with their requests. */
const NEVER_MS = 60_000;
const TURNS = { perUser: 2, waitingPerUser: 2 };
const { service, database } = useApi(() => ({ turns: TURNS, requestDeadlineMs: NEVER_MS }));

/** An API of one test. */
async function startOwn(change: Partial<AppDeps>): Promise<InProcessApi> {
  const api = await startApi(database().pool, change);
  onTestFinished(api.close);
  return api;
}

/** A request whose body never ends: it holds its turn. */
async function hold(user: string, announced = 100, api: { readonly url: string } = service): Promise<Socket> {
  const { hostname, port } = new URL(api.url);
  const socket = connect({ host: hostname, port: Number(port) }).on('error', () => undefined);
  let text = '';
  socket.on('data', (bytes) => (text += bytes.toString()));
  await once(socket, 'connect');
  const authorization = `authorization: Bearer ${await tokenOf(user)}`;
  const head = ['POST /v1/conversations HTTP/1.1', 'host: parley', authorization, 'content-type: application/json'];
  socket.write([...head, 'expect: 100-continue', `content-length: ${announced}`, '', '{'].join('\r\n'));
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
  const api = await startOwn({ turns: TURNS, requestDeadlineMs: DEADLINE_MS });
  const held = [await hold('trudy', 100, api), await hold('trudy', 100, api)];
  const answer = await api.ask('GET /v1/conversations', { user: 'trudy' });
  // The bodies that hold the turns end at the same time.
  expect([200, 503]).toContain(answer.status);
  for (const socket of held) socket.destroy();
  await waitUntil(async () => (await api.ask('GET /v1/conversations', { user: 'trudy' })).status === 200, {
    what: 'the turns are free again',
  });
});

describe('heavy requests', () => {
  const LARGE_BYTES = 65 * 1024;
  /** An API with two heavy turns for a user. @param longestMs time of a turn */
  const start = (longestMs: number): Promise<InProcessApi> =>
    startOwn({ heavyTurns: { perUser: 2, waitingPerUser: 4, longestMs }, requestDeadlineMs: NEVER_MS });
  const paths = (id: string): string[] => [`GET /v1/conversations/${id}/messages`, 'GET /v1/welcomes'];

  test('those of a user wait behind two, unread; its small requests and the heavy ones of others pass them', async () => {
    const api = await start(NEVER_MS);
    const id = await createConversation(api, ['mallory', 'bob'], { protocol: 'opaque' });
    const held = [await hold('mallory', LARGE_BYTES, api), await hold('mallory', LARGE_BYTES, api)];
    const order: string[] = [];
    const ask = (user: string, what: string, body?: unknown): Promise<void> =>
      api.ask(what, { user, ...(body === undefined ? {} : { body }) }).then(({ status }) => {
        order.push(`${user} ${what.split('/').at(-1) ?? ''} ${status}`);
      });
    const large = { id: 'large', ciphertext: base64(Buffer.alloc(LARGE_BYTES)) };
    const waiting = [
      ...paths(id).map((what) => ask('mallory', what)),
      ask('mallory', `POST /v1/conversations/${id}/messages`, large),
    ];
    await ask('mallory', `GET /v1/conversations/${id}/epoch`);
    for (const what of paths(id)) await ask('bob', what);
    // Everything after the second answer would pass, too, if nothing waited.
    expect(order).toEqual(['mallory epoch 200', 'bob messages 200', 'bob welcomes 200']);
    for (const socket of held) socket.destroy();
    await Promise.all(waiting);
    expect(order).toHaveLength(6);
    expect(order.filter((one) => one.endsWith('200'))).toHaveLength(6);
  });

  test('a body that is small, or above the limit of its route, needs no turn', async () => {
    const api = await start(NEVER_MS);
    const id = await createConversation(api, ['mallory'], { protocol: 'opaque' });
    const held = [await hold('mallory', LARGE_BYTES, api), await hold('mallory', LARGE_BYTES, api)];
    const send = (bytes: number): Promise<{ status: number }> =>
      api.ask(`POST /v1/conversations/${id}/messages`, {
        user: 'mallory',
        body: { id: `m-${bytes}`, ciphertext: base64(Buffer.alloc(bytes)) },
      });
    expect((await send(1000)).status).toBe(200);
    expect((await send(1_100_000)).status).toBe(413);
    for (const socket of held) socket.destroy();
  });

  test('one that takes long gives its turn to the next', async () => {
    const api = await start(50);
    const id = await createConversation(api, ['mallory'], { protocol: 'opaque' });
    const held = [await hold('mallory', LARGE_BYTES, api), await hold('mallory', LARGE_BYTES, api)];
    expect((await api.ask(`GET /v1/conversations/${id}/messages`, { user: 'mallory' })).status).toBe(200);
    for (const socket of held) socket.destroy();
  });
});
