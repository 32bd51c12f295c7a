import { afterEach, expect, test } from 'vitest';
import type { RateLimits } from '../../../process/config.ts';
import { RATE_LIMIT_DEVICES } from '../../../domain/limits.ts';
import { useDatabase } from '../../harness/database.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { startApi } from '../../harness/api/use-api.ts';
import { NO_RATE_LIMITS } from '../../../tools/harness/limits-off.ts';
import type { InProcessApi } from '../../../tools/harness/in-process-api.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import type { Answer } from '../../../tools/harness/answer.ts';

const LIMIT = 2;

const database = useDatabase();
const services: InProcessApi[] = [];
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
});

async function limitedTo(limits: Partial<RateLimits>): Promise<InProcessApi> {
  const service = await startApi(database().pool, { rateLimits: { ...NO_RATE_LIMITS, ...limits } });
  services.push(service);
  return service;
}

/** Sends a request of a device, as `METHOD /path`. */
async function asDevice(service: InProcessApi, device: string, what: string, body?: unknown): Promise<Answer> {
  const authorization = `Bearer ${await tokenOf('alice', { device })}`;
  return service.ask(what, { headers: { authorization }, ...(body === undefined ? {} : { body }) });
}

/** A request of each class. It need not succeed, because it is counted before. */
const OF_CLASSES: readonly (readonly [keyof RateLimits, string, unknown])[] = [
  ['messages', 'POST /v1/conversations/{id}/messages', { id: 'm', ciphertext: base64('x') }],
  ['signals', 'POST /v1/conversations/{id}/signals', { data: base64('x') }],
  ['commits', 'POST /v1/conversations/{id}/commits', { commit: base64('x') }],
  ['commits', 'POST /v1/conversations/{id}/members', { users: ['bob'] }],
  ['commits', 'DELETE /v1/conversations/{id}/members/nobody', {}],
  ['commits', 'POST /v1/conversations/{id}/members/nobody/remove', {}],
  ['commits', 'PUT /v1/conversations/{id}/group-info', { groupInfo: base64('x') }],
  ['claims', 'POST /v1/users/bob/key-packages/claim', {}],
  ['writes', 'POST /v1/conversations/{id}/read', {}],
  ['reads', 'GET /v1/conversations', undefined],
];

test.each(OF_CLASSES)('the limit of %s applies to %s and to no other class', async (name, template, body) => {
  const service = await limitedTo({ [name]: LIMIT });
  const what = template.replace('{id}', 'unknown');
  const statuses = [];
  for (let i = 0; i <= LIMIT; i++) statuses.push((await asDevice(service, 'phone', what, body)).status);
  expect(statuses.map((status) => status === 429)).toEqual([false, false, true]);
  for (const [other, elsewhere, content] of OF_CLASSES) {
    if (other === name) continue;
    const answer = await asDevice(service, 'phone', elsewhere.replace('{id}', 'unknown'), content);
    expect([elsewhere, answer.status === 429]).toEqual([elsewhere, false]);
  }
});

test('a user has a limit of signals for each conversation, which all its devices share', async () => {
  const service = await limitedTo({ signalsOfConversation: LIMIT });
  const [one, other] = [await createConversation(service), await createConversation(service)];
  const send = (device: string, id: string): Promise<Answer> =>
    asDevice(service, device, `POST /v1/conversations/${id}/signals`, { data: base64('x') });
  const statuses = [];
  for (const device of ['phone', 'laptop', 'phone']) statuses.push((await send(device, one)).status);
  expect(statuses).toEqual([202, 202, 429]);
  const refused = await send('laptop', one);
  expect(refused.body).toMatchObject({ code: 'rate-limited' });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await send('phone', other)).status).toBe(202);
});

test('requests of one class count together', async () => {
  const service = await limitedTo({ commits: LIMIT });
  const commits = OF_CLASSES.filter(([name]) => name === 'commits').slice(0, LIMIT + 1);
  const statuses = [];
  for (const [, what, body] of commits)
    statuses.push((await asDevice(service, 'phone', what.replace('{id}', 'unknown'), body)).status);
  expect(statuses).toEqual([404, 404, 429]);
});

test('each device of a user has a limit, all together have twice the limit, and refused requests of a device do not count for the others', async () => {
  const service = await limitedTo({ reads: LIMIT });
  const read = (device: string): Promise<Answer> => asDevice(service, device, 'GET /v1/conversations');
  const statusesOf = async (device: string, times: number): Promise<number[]> => {
    const statuses = [];
    for (let i = 0; i < times; i++) statuses.push((await read(device)).status);
    return statuses;
  };
  expect(await statusesOf('phone', 6)).toEqual([200, 200, 429, 429, 429, 429]);
  expect(await statusesOf('computer', 3)).toEqual([200, 200, 429]);
  // Both devices together have used the limit of the user.
  expect(RATE_LIMIT_DEVICES).toBe(2);
  const third = await read('tablet');
  expect(third.status).toBe(429);
  expect(third.body.detail).toBe(
    `At most ${LIMIT * RATE_LIMIT_DEVICES} requests of this kind from one user in a minute`,
  );
  expect((await service.ask('GET /v1/conversations', { user: 'bob' })).status).toBe(200);
});

test('answers list both limits and their remaining requests, and a refusal says when to try again', async () => {
  const service = await limitedTo({ reads: LIMIT });
  const read = (): Promise<Answer> => asDevice(service, 'phone', 'GET /v1/conversations');
  const answers = [await read(), await read(), await read()];
  for (const { headers } of answers) {
    expect(headers.get('ratelimit-policy')).toMatch(
      /^"reads-device"; q=2; w=60; pk=:[\w+/=]+:, "reads-user"; q=4; w=60; pk=:[\w+/=]+:$/,
    );
    expect(headers.get('ratelimit')).toMatch(/^"reads-device"; r=\d; t=\d+, "reads-user"; r=\d; t=\d+$/);
  }
  const left = answers.map(({ headers }) =>
    [...(headers.get('ratelimit') ?? '').matchAll(/r=(\d)/g)].map(([, r]) => r),
  );
  expect(left.slice(0, LIMIT)).toEqual([
    ['1', '3'],
    ['0', '2'],
  ]);
  expect(left[LIMIT]?.[0]).toBe('0');
  expect(answers.map(({ headers }) => headers.has('retry-after'))).toEqual([false, false, true]);
  const refused = answers[LIMIT];
  expect([refused?.status, refused?.body.code]).toEqual([429, 'rate-limited']);
  expect(refused?.headers.get('content-type')).toContain('application/problem+json');
  const wait = Number(refused?.headers.get('retry-after'));
  expect(wait).toBeGreaterThan(0);
  expect(wait).toBeLessThanOrEqual(60);
});

test('each message of a list counts, and the headers show it', async () => {
  const service = await limitedTo({ messages: 10 });
  const id = await createConversation(service);
  const send = (device: string, count: number): Promise<Answer> => {
    const messages = Array.from({ length: count }, (_, i) => ({ id: `${device}-${i}`, ciphertext: base64('x') }));
    return asDevice(service, device, `POST /v1/conversations/${id}/messages`, { messages });
  };
  const first = await send('phone', 6);
  expect([first.status, first.headers.get('ratelimit')]).toMatchObject([
    200,
    expect.stringMatching(/^"messages-device"; r=4; t=\d+, "messages-user"; r=14; t=\d+$/),
  ]);
  const second = await send('phone', 6);
  expect([second.status, second.body.detail]).toEqual([429, 'At most 10 messages from one device in a minute']);
  expect(second.headers.get('ratelimit')).toMatch(/^"messages-device"; r=0; /);
  expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0);
  // A refused list costs the other devices only the one request that was counted before the list was read.
  expect((await send('computer', 10)).status).toBe(200);
  expect((await send('computer', 1)).status).toBe(429);
});

test('a limit of 0 limits nothing and adds no header', async () => {
  const service = await limitedTo({});
  for (let i = 0; i < 5; i++) {
    const answer = await asDevice(service, 'phone', 'GET /v1/conversations');
    expect(answer.status).toBe(200);
    expect([answer.headers.get('ratelimit'), answer.headers.get('ratelimit-policy')]).toEqual([null, null]);
  }
});

test('requests with refused tokens are limited by address', async () => {
  const service = await limitedTo({ unauthenticated: 3 });
  const refused = [];
  for (let i = 0; i < 5; i++) refused.push((await service.ask('GET /v1/welcomes')).status);
  expect(refused).toEqual([401, 401, 401, 429, 429]);
});

test('who has a genuine token is not hurt by others at its address who forge them', async () => {
  const service = await limitedTo({ unauthenticated: 3 });
  const ask = async (token: string): Promise<number> => {
    const answer = await service.ask('GET /v1/welcomes', { headers: { authorization: `Bearer ${token}` } });
    return answer.status;
  };
  const expired = await tokenOf('alice', { expiresIn: '-1s' });
  for (let i = 0; i < 10; i++) expect(await ask(expired)).toBe(401);
  const [head = '', claims = ''] = expired.split('.');
  const forged = [];
  for (let i = 0; i < 5; i++) forged.push(await ask(`${head}.${claims}.${'A'.repeat(43)}`));
  expect(forged).toEqual([401, 401, 401, 429, 429]);
  expect([await ask(expired), await ask(await tokenOf('bob'))]).toEqual([401, 200]);
  expect(await ask(await tokenOf('carol', { expiresIn: '-1s' }))).toBe(401);
});

test('a forged address of a client changes no limit', async () => {
  const service = await limitedTo({ unauthenticated: 3 });
  const refused = [];
  for (let i = 0; i < 5; i++) {
    const headers = { 'x-forwarded-for': `203.0.113.${i}`, forwarded: `for=203.0.113.${i}` };
    refused.push((await service.ask('GET /v1/welcomes', { headers })).status);
  }
  expect(refused).toEqual([401, 401, 401, 429, 429]);
});

test('the document shows the headers of a refusal', async () => {
  const service = await limitedTo({});
  const document = (await service.ask('GET /openapi.json')).body as {
    paths: Record<string, Record<string, { responses: Record<string, { headers?: object }> }>>;
    components: { headers: object };
  };
  const { responses } = document.paths['/v1/conversations/{id}/commits']?.post ?? { responses: {} };
  expect(Object.keys(responses['429']?.headers ?? {})).toEqual(['RateLimit', 'RateLimit-Policy', 'Retry-After']);
  expect(Object.keys(responses['200']?.headers ?? {})).toEqual(['RateLimit', 'RateLimit-Policy']);
  expect(Object.keys(document.components.headers)).toEqual(['RateLimit', 'RateLimit-Policy', 'Retry-After']);
});
