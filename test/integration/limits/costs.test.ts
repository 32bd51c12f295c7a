import { afterEach, expect, test } from 'vitest';
import type { RateLimits } from '../../../process/config.ts';
import { NO_RATE_LIMITS } from '../../../tools/harness/limits-off.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import type { InProcessApi } from '../../../tools/harness/in-process-api.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { recordStatements } from '../../harness/api/recording-pool.ts';
import { startApi } from '../../harness/api/use-api.ts';
import { useDatabase } from '../../harness/database.ts';

const database = useDatabase();
const services: InProcessApi[] = [];
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
});

async function limitedTo(limits: Partial<RateLimits>, pool = database().pool): Promise<InProcessApi> {
  const service = await startApi(pool, { rateLimits: { ...NO_RATE_LIMITS, ...limits } });
  services.push(service);
  return service;
}

/** What is left of a limit after an answer. */
function left({ headers }: Answer, name: string): number {
  return Number(new RegExp(`"${name}"; r=(\\d+)`).exec(headers.get('ratelimit') ?? '')?.[1] ?? NaN);
}

const bytes = (length: number): string => base64(Buffer.alloc(length));

test('an ordinary request is one unit of its class, and a large one is several', async () => {
  const service = await limitedTo({ messages: 1000, writes: 1000, commits: 1000 });
  const id = await createConversation(service, [], { protocol: 'opaque' });
  const send = (ciphertext: string, n: string): Promise<Answer> =>
    service.ask(`POST /v1/conversations/${id}/messages`, { user: 'alice', body: { id: n, ciphertext } });
  expect(left(await send(bytes(400), 'small'), 'messages-device')).toBe(999);
  const large = left(await send(bytes(700 * 1024), 'large'), 'messages-device');
  expect(large).toBeLessThan(998);
  // 100 key packages are not one request: each is checked.
  const keyPackages = Array.from({ length: 100 }, () => bytes(300));
  const upload = await service.ask('POST /v1/key-packages', { user: 'bob', body: { keyPackages } });
  expect(left(upload, 'writes-device')).toBeLessThan(995);
  const read = await service.ask(`POST /v1/conversations/${id}/read`, { user: 'alice' });
  expect(left(read, 'writes-device')).toBe(999 - 1);
});

test('what all requests of a user cost together has a limit, which others do not share', async () => {
  const service = await limitedTo({ cost: 1000, messages: 1e6, reads: 1e6, writes: 1e6, commits: 1e6 });
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  const answers: Answer[] = [];
  const body = { commit: bytes(1024 * 1024) };
  while (answers.at(-1)?.status !== 429) {
    answers.push(
      await service.ask(`POST /v1/conversations/${id}/commits`, {
        user: 'alice',
        body: { ...body, epoch: answers.length },
      }),
    );
    expect(answers.length).toBeLessThan(20);
  }
  const refused = answers.at(-1);
  expect(refused?.body).toMatchObject({
    code: 'rate-limited',
    detail: 'At most 1000 milliseconds of CPU time for one user in a minute',
  });
  expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(refused?.headers.get('ratelimit-policy')).toMatch(/"cost-user"; q=1000; w=60; pk=:[\w+/=]+:$/);
  expect((await service.ask(`GET /v1/conversations/${id}`, { user: 'bob' })).status).toBe(200);
});

test('a refused request has cost nothing more than its bytes: nothing was parsed, decided or stored', async () => {
  const recorded = recordStatements(database().pool);
  const service = await limitedTo({ cost: 100, writes: 1e6, commits: 1e6 }, recorded.pool);
  const id = await createConversation(service, [], { protocol: 'opaque' });
  // One request may use half of the limit.
  expect(
    (await service.ask(`POST /v1/conversations/${id}/commits`, { user: 'alice', raw: 'x'.repeat(2 ** 22) })).status,
  ).toBe(400);
  recorded.taken();
  const answer = await service.ask(`POST /v1/conversations/${id}/commits`, {
    user: 'alice',
    raw: `{"commit":"${'A'.repeat(2 ** 22)}"`,
  });
  // The body is no JSON, and nobody found out.
  expect(answer.body.code).toBe('rate-limited');
  expect(recorded.taken().filter((name) => name !== 'read-standing')).toEqual([]);
});

test('an answer counts with its bytes', async () => {
  const service = await limitedTo({ cost: 10_000, reads: 1e6 });
  const id = await createConversation(service, [], { protocol: 'opaque' });
  const message = { id: 'm', ciphertext: bytes(700 * 1024) };
  await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'alice', body: message });
  const read = (): Promise<Answer> => service.ask(`GET /v1/conversations/${id}/messages`, { user: 'alice' });
  const first = left(await read(), 'cost-user');
  const second = left(await read(), 'cost-user');
  expect(first - second).toBeGreaterThan(10);
});

test('a class without a limit costs nothing', async () => {
  const service = await limitedTo({ cost: 10, reads: 0 });
  for (let i = 0; i < 20; i++) expect((await service.ask('GET /v1/conversations', { user: 'alice' })).status).toBe(200);
});

test('public pages count for the address, and health does not', async () => {
  const service = await limitedTo({ cost: 20 });
  const statuses: number[] = [];
  for (let i = 0; i < 20; i++) statuses.push((await service.ask('GET /docs/problems/not-found')).status);
  expect(statuses.at(-1)).toBe(429);
  for (let i = 0; i < 20; i++) expect((await service.ask('GET /health')).status).toBe(200);
  expect((await service.ask('GET /v1/conversations', { user: 'alice' })).status).toBe(200);
});
