import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeRoutes } from '../../../api/app.ts';
import { admissionOf } from '../../../api/http/conversation-guard.ts';
import type { Route } from '../../../api/http/route.ts';
import { BODY_LIMIT_COMMITS } from '../../../domain/limits.ts';
import { type InProcessApi, appDeps } from '../../../tools/harness/in-process-api.ts';
import { NO_RATE_LIMITS } from '../../../tools/harness/limits-off.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { createConversation } from '../../harness/api/conversations.ts';
import { type RecordingPool, recordStatements } from '../../harness/api/recording-pool.ts';
import { startApi } from '../../harness/api/use-api.ts';
import { useDatabase } from '../../harness/database.ts';

// What an outsider gets for a conversation says nothing about it: neither the answer nor the work for it.

const database = useDatabase();
let recorded: RecordingPool;
let service: InProcessApi;
let routes: readonly Route[];
beforeAll(async () => {
  recorded = recordStatements(database().pool);
  service = await startApi(recorded.pool);
  routes = makeRoutes(await appDeps(recorded.pool));
});
afterAll(() => service.close());

interface Sent {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What the service answered: everything but the ids of the request and the time. */
async function send(user: string, method: string, target: string, { headers, body }: Sent): Promise<unknown> {
  const authorization = `Bearer ${await tokenOf(user)}`;
  recorded.taken();
  const answer = await new Promise((resolve, reject) => {
    const sent = request(`${service.url}${target}`, {
      method: method.toUpperCase(),
      agent: false,
      headers: { authorization, ...(body === undefined ? {} : framing(body)), ...headers },
    });
    sent.once('error', reject).once('response', (response) => {
      let text = '';
      response.on('data', (bytes: Buffer) => (text += bytes.toString()));
      response.once('end', () => {
        const { date: _date, 'x-request-id': _id, 'content-length': _length, ...rest } = response.headers;
        const { requestId: _requestId, ...problem } = JSON.parse(text === '' ? '{}' : text) as Record<string, unknown>;
        resolve({ status: response.statusCode, headers: rest, problem });
        sent.destroy();
      });
    });
    sent.end(body);
  });
  // That the device was seen is noted in the background.
  return { ...(answer as object), statements: recorded.taken().filter((name) => name !== 'touch-devices') };
}

function framing(body: string): Record<string, string> {
  return { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) };
}

/** Requests of every kind of wrongness. */
const KINDS: readonly (readonly [string, Sent, string])[] = [
  ['no body', {}, ''],
  ['an empty object', { body: '{}' }, ''],
  ['unknown fields', { body: '{"x":1}' }, ''],
  ['no JSON', { body: '{' }, ''],
  ['no UTF-8', { body: '"\ud800"' }, ''],
  ['a list', { body: '[]' }, ''],
  ['text', { body: 'hello', headers: { 'content-type': 'text/plain' } }, ''],
  ['a compressed body', { body: 'x', headers: { 'content-encoding': 'gzip' } }, ''],
  ['a body that is announced as too large', { headers: { 'content-length': String(BODY_LIMIT_COMMITS + 1) } }, ''],
  ['a body that is too large', { body: `"${'x'.repeat(BODY_LIMIT_COMMITS)}"` }, ''],
  ['a wrong query', {}, '?limit=x&unknown=1'],
  ['a wrong key', { headers: { 'idempotency-key': '"' } }, ''],
  ['a wrong position', { headers: { 'last-event-id': 'x' } }, ''],
  ['a wrong tag', { headers: { 'if-none-match': '"' } }, ''],
];

test('every route whose path names a conversation of the caller is guarded, and only two let outsiders of an open group in', () => {
  const named = routes.filter(({ path }) => path.includes('/conversations/{'));
  const unguarded = named.filter((route) => admissionOf(route) === undefined);
  expect(unguarded.every(({ access, path }) => access === 'operator' && path.startsWith('/v1/admin/'))).toBe(true);
  const open = named.filter((route) => admissionOf(route) === 'joinable');
  expect(open.map(({ method, path }) => `${method} ${path}`)).toEqual([
    'post /v1/conversations/{id}/commits',
    'get /v1/conversations/{id}/group-info',
  ]);
  expect(named.every(({ path }) => path.includes('/conversations/{id}'))).toBe(true);
});

test.each(KINDS)(
  'with %s, an outsider gets one and the same answer everywhere, for the same statements',
  async (_, sent, query) => {
    const real = await createConversation(service, ['bob'], { protocol: 'opaque' });
    const none = newConversationId();
    const guarded = routes.filter((route) => admissionOf(route) !== undefined);
    expect(guarded.length).toBeGreaterThan(15);
    for (const { method, path } of guarded) {
      const targetOf = (id: string): string => `${path.replace('{id}', id).replace('{user}', 'bob')}${query}`;
      const answer = await send('mallory', method, targetOf(real), sent);
      const expected = await send('mallory', method, targetOf(none), sent);
      expect([method, path, answer]).toEqual([method, path, expected]);
      expect(answer).toMatchObject({
        status: 404,
        problem: { type: '/docs/problems/not-found', title: 'Not found', status: 404, code: 'not-found' },
        statements: ['read-standing'],
      });
      expect(Object.keys((answer as { problem: object }).problem)).toEqual(['type', 'title', 'status', 'code']);
    }
  },
);

test.each(['%21', 'a', 'A'.repeat(99), '..%2f', encodeURIComponent('é')])(
  'an id that no conversation can have (%s) gets the same answer, also with a body that is not well formed',
  async (id) => {
    for (const { method, path } of routes.filter((route) => admissionOf(route) !== undefined)) {
      const answer = await send('mallory', method, path.replace('{id}', id).replace('{user}', 'bob'), { body: '{' });
      expect([method, path, answer]).toMatchObject([method, path, { status: 404, problem: { code: 'not-found' } }]);
    }
  },
);

test('a member hears what is wrong, and is looked up once', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  const target = `/v1/conversations/${id}/messages`;
  const [first, second] = [
    await send('bob', 'post', target, { body: '{' }),
    await send('bob', 'post', target, { body: '{' }),
  ];
  expect(first).toMatchObject({ status: 400, problem: { code: 'malformed' }, statements: ['read-standing'] });
  expect(second).toMatchObject({ status: 400, statements: [] });
  const large = { headers: { 'content-length': String(BODY_LIMIT_COMMITS + 1) } };
  expect(await send('bob', 'post', target, large)).toMatchObject({ status: 413, problem: { code: 'too-large' } });
});

test('one who was removed is still known, and one who was never a member becomes known when it is added', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  const target = `/v1/conversations/${id}/messages`;
  expect(await send('carol', 'post', target, { body: '{' })).toMatchObject({ status: 404 });
  const body = { users: ['carol'] };
  expect((await service.ask(`POST /v1/conversations/${id}/members`, { user: 'alice', body })).status).toBe(200);
  expect(await send('carol', 'post', target, { body: '{' })).toMatchObject({ status: 400 });
  expect((await service.ask(`DELETE /v1/conversations/${id}/members/carol`, { user: 'alice' })).status).toBe(200);
  expect(await send('carol', 'post', target, { body: '{' })).toMatchObject({ status: 400 });
  const message = { body: '{"id":"m","ciphertext":"eA=="}' };
  expect(await send('carol', 'post', target, message)).toMatchObject({ status: 403, problem: { code: 'removed' } });
});

test('a deleted conversation is as if it had never been, also for those who are known', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  const message = { body: '{"id":"m","ciphertext":"eA=="}' };
  const target = `/v1/conversations/${id}/messages`;
  expect(await send('bob', 'post', target, message)).toMatchObject({ status: 200 });
  expect((await service.ask(`DELETE /v1/conversations/${id}`, { user: 'alice' })).status).toBe(204);
  for (const user of ['bob', 'mallory']) {
    expect(await send(user, 'post', target, message)).toMatchObject({ status: 404, problem: { code: 'not-found' } });
  }
});

test('an outsider of an open group may commit and read the GroupInfo, and nothing else', async () => {
  const id = await createConversation(service, ['bob'], { policy: { externalJoin: 'anyone' } });
  for (const { method, path, admission } of routes.filter((route) => admissionOf(route) !== undefined)) {
    const target = path.replace('{id}', id).replace('{user}', 'bob');
    const answer = (await send('mallory', method, target, { body: '{' })) as { problem: { code: string } };
    // Who may join needs no epoch to ask.
    const mayRead = admission === 'joinable' ? 'group-info-missing' : 'not-found';
    const expected = admission === undefined ? 'not-found' : method === 'get' ? mayRead : 'malformed';
    expect([method, path, answer.problem.code]).toEqual([method, path, expected]);
  }
});

test('who guesses ids ends in 429, for those that exist and for those that do not', async () => {
  const limits = { ...NO_RATE_LIMITS, reads: 4 };
  const limited = await startApi(recorded.pool, { rateLimits: limits });
  try {
    const real = await createConversation(limited);
    const statuses: Record<string, number[]> = { mallory: [], trudy: [] };
    recorded.taken();
    for (let i = 0; i < 6; i++) {
      for (const [user, id] of [
        ['mallory', real],
        ['trudy', newConversationId()],
      ] as const) {
        statuses[user]?.push((await limited.ask(`GET /v1/conversations/${id}`, { user })).status);
      }
    }
    expect(statuses.mallory).toEqual([404, 404, 404, 404, 429, 429]);
    expect(statuses.trudy).toEqual(statuses.mallory);
    expect(recorded.taken().filter((name) => name === 'read-standing')).toHaveLength(8);
  } finally {
    await limited.close();
  }
});
