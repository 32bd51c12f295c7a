import type { Submitter } from '../../../dispatch/submission.ts';
import { expect, test } from 'vitest';
import { AppError } from '../../../domain/errors.ts';
import { acquireLease } from '../../../store/request/idempotency.ts';
import { useDatabase } from '../../harness/database.ts';
import { idempotencyScope } from '../../../api/http/idempotency.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { startApi, useApi } from '../../harness/api/use-api.ts';
import type { Ask } from '../../../tools/harness/ask.ts';
import { type InProcessApi, directSubmitter } from '../../../tools/harness/in-process-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';

/** Simulates a crash or an outage directly before or after the decision. */
let trouble: { before?: () => unknown; after?: () => unknown } = {};
const database = useDatabase();
const submitter: Submitter = {
  submit: async (draft) => {
    await trouble.before?.();
    const outcome = await directSubmitter(database().pool).submit(draft);
    await trouble.after?.();
    return outcome;
  },
};
const { service: first } = useApi(() => ({ submitter }), database);
const { service: second } = useApi(() => ({ submitter, requestDeadlineMs: 8000 }), database);

const withKey = (key: string, ask: Ask = {}): Ask => ({
  user: 'alice',
  ...ask,
  headers: { ...ask.headers, 'idempotency-key': key },
});
const lastSeq = async (id: string): Promise<number> =>
  (await first.ask(`GET /v1/conversations/${id}`, { user: 'alice' })).body.lastSeq as number;

test('a retry with the same key gets the first answer on every replica', async () => {
  const id = newConversationId();
  const ask = withKey('create-1', { body: { id, members: ['bob'] } });
  const created = await first.ask('POST /v1/conversations', ask);
  expect(created.status).toBe(201);
  const again = await second.ask('POST /v1/conversations', ask);
  expect([again.status, again.body]).toEqual([201, created.body]);
  expect(again.headers.get('idempotent-replayed')).toBe('true');
  expect(again.headers.get('location')).toBe(`/v1/conversations/${id}`);
});

test('a key with quotes equals the same key without quotes', async () => {
  const id = await createConversation(first, [], { protocol: 'opaque' });
  const add = (key: string): ReturnType<InProcessApi['ask']> =>
    first.ask(`POST /v1/conversations/${id}/members`, withKey(key, { body: { users: ['bob'] } }));
  expect([(await add('"k-1"')).body, (await add('k-1')).body]).toEqual([
    { epoch: 1, seq: 1 },
    { epoch: 1, seq: 1 },
  ]);
  for (const key of ['', '""', '"open', 'x'.repeat(256), 'a\u00e9']) {
    expect((await add(key)).body.code).toBe('malformed');
  }
});

test('a key is valid only for its user, device and path', async () => {
  const ids = await Promise.all([1, 2].map(() => createConversation(first, ['bob'], { protocol: 'opaque' })));
  const add = async (id: string | undefined, user: string, name: string): Promise<unknown> => {
    const ask = withKey('shared', { user, body: { users: [name] } });
    return (await first.ask(`POST /v1/conversations/${id}/members`, ask)).body;
  };
  expect(await add(ids[0], 'alice', 'x')).toEqual({ epoch: 1, seq: 1 });
  expect(await add(ids[0], 'bob', 'y')).toEqual({ epoch: 2, seq: 2 });
  expect(await add(ids[1], 'alice', 'x')).toEqual({ epoch: 1, seq: 1 });
});

test('a request with the same key and another body is refused', async () => {
  const id = await createConversation(first, [], { protocol: 'opaque' });
  const path = `POST /v1/conversations/${id}/members`;
  await first.ask(path, withKey('k', { body: { users: ['bob'] } }));
  const other = await second.ask(path, withKey('k', { body: { users: ['carol'] } }));
  expect([other.status, other.body.code]).toEqual([422, 'idempotency-key-reused']);
  expect(await lastSeq(id)).toBe(1);
});

test('two replicas that get the same key at once apply the request once and give the same answer', async () => {
  const id = await createConversation(first, [], { protocol: 'opaque' });
  const ask = withKey('race', { body: { users: ['bob'] } });
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      (i % 2 === 0 ? first : second).ask(`POST /v1/conversations/${id}/members`, ask),
    ),
  );
  for (const { status, body } of answers) expect([status, body]).toEqual([200, { epoch: 1, seq: 1 }]);
  expect(await lastSeq(id)).toBe(1);
});

test('a 422 is stored for the key, and other refusals are not', async () => {
  const id = await createConversation(first, ['bob']);
  const add = (key: string): ReturnType<InProcessApi['ask']> =>
    first.ask(`POST /v1/conversations/${id}/members`, withKey(key, { body: { users: ['carol'] } }));
  expect((await add('422')).body.code).toBe('commit-required');
  const again = await add('422');
  expect([again.status, again.body.code]).toEqual([422, 'commit-required']);
  expect(again.body.requestId).toBe(again.headers.get('x-request-id'));

  trouble = { before: () => Promise.reject(new AppError('unavailable')) };
  const path = `POST /v1/conversations/${id}/read`;
  expect((await first.ask(path, withKey('503'))).status).toBe(503);
  trouble = {};
  expect((await first.ask(path, withKey('503'))).body).toEqual({ unread: 0 });
});

test('the answer to a list with a temporary failure is not stored', async () => {
  const id = await createConversation(first, [], { protocol: 'opaque' });
  const messages = [
    { id: 'a', ciphertext: base64('a') },
    { id: 'b', ciphertext: base64('b'), epoch: 1 },
  ];
  const send = (): ReturnType<InProcessApi['ask']> =>
    first.ask(`POST /v1/conversations/${id}/messages`, withKey('list', { body: { messages } }));
  expect((await send()).body.results).toMatchObject([{ status: 'accepted' }, { code: 'epoch-ahead' }]);
  await first.ask(`POST /v1/conversations/${id}/members`, { user: 'alice', body: { users: ['bob'] } });
  expect((await send()).body.results).toMatchObject([{ status: 'duplicate' }, { status: 'accepted' }]);
});

test('a request whose process died after the decision is applied once, on any replica that gets the retry', async () => {
  const id = await createConversation(first, [], { protocol: 'opaque' });
  const path = `/v1/conversations/${id}/members`;
  const ask = withKey('crash', { body: { users: ['bob'] } });
  // The first process decides and then dies. Its lease stays without an answer.
  let die: (() => void) | undefined;
  const dead = new Promise<void>((resolve) => (die = resolve));
  trouble = { after: () => dead };
  const lost = first.ask(`POST ${path}`, ask);
  await expect.poll(() => lastSeq(id)).toBe(1);
  trouble = {};
  const retried = await second.ask(`POST ${path}`, ask);
  expect([retried.status, retried.body]).toEqual([200, { epoch: 1, seq: 1 }]);
  expect(await lastSeq(id)).toBe(1);
  die?.();
  expect((await lost).body).toEqual({ epoch: 1, seq: 1 });
});

test('a request that waits for a key beyond its deadline may be sent again', async () => {
  const impatient = await startApi(database().pool, { requestDeadlineMs: 300 });
  // By a patient one: its deadline is for the request below.
  const id = await createConversation(first, [], { protocol: 'opaque' });
  const path = `/v1/conversations/${id}/read`;
  const caller = { user: 'alice', device: 'default' } as Parameters<typeof idempotencyScope>[1];
  const request = { headers: { 'idempotency-key': 'slow' }, method: 'POST', path };
  const scope = idempotencyScope(request as unknown as Parameters<typeof idempotencyScope>[0], caller);
  if (scope === undefined) throw new Error('no scope');
  await acquireLease(database().pool, scope.hash, scope.request, 60_000);
  const answer = await impatient.ask(`POST ${path}`, withKey('slow'));
  expect([answer.status, answer.body.code]).toEqual([503, 'deadline']);
  await impatient.close();
});

test('a request without the header looks up and stores no key', async () => {
  const id = await createConversation(first, [], { protocol: 'opaque' });
  const count = async (): Promise<unknown> =>
    (await database().pool.query('select count(*) from idempotency')).rows[0] as unknown;
  const before = await count();
  await first.ask(`POST /v1/conversations/${id}/read`, { user: 'alice' });
  expect(await count()).toEqual(before);
});
