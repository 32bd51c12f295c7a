import { randomBytes, randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, describe, expect, test } from 'vitest';
import { makeJobPool } from '../../../compute/pool.ts';
import { makeMetrics } from '../../../process/metrics.ts';
import { deviceOf, newUser } from '../../harness/key-packages/devices.ts';
import { testKeyPackage } from '../../harness/key-packages.ts';
import { useApi } from '../../harness/api/use-api.ts';

// Bodies that a thread reads. A client notices no difference.

const metrics = makeMetrics({ collectDefaults: false });
const jobs = makeJobPool({ threads: 1, maxWaitMs: 10_000, log: pino({ level: 'silent' }), metrics });
afterAll(() => jobs.close());
const { database, service } = useApi(() => ({ jobs }));

const MB = 1024 * 1024;
const bytesOf = (size: number): string => randomBytes(size).toString('base64');
const newId = (): string => randomBytes(18).toString('base64url');

/** Jobs of a name that threads ran. */
async function inThreads(name: string): Promise<number> {
  const text = await metrics.registry.metrics();
  const found = new RegExp(`^parley_job_duration_seconds_count\\{job="${name}",where="thread"\\} (\\d+)$`, 'm').exec(
    text,
  );
  return Number(found?.[1] ?? 0);
}

async function opaque(): Promise<string> {
  const id = newId();
  const body = { id, protocol: 'opaque', policy: { externalJoin: 'nobody' } };
  expect((await service.ask('POST /v1/conversations', { user: 'alice', body })).status).toBe(201);
  return id;
}

describe('a body of several MB', () => {
  test('is read by a thread, and its bytes are stored as they were sent', async () => {
    const id = await opaque();
    const before = await inThreads('json');
    const commit = bytesOf(5 * MB);
    const answer = await service.ask(`POST /v1/conversations/${id}/commits`, { user: 'alice', body: { commit } });
    expect(answer.status).toBe(200);
    expect(await inThreads('json')).toBe(before + 1);
    const page = await service.ask(`GET /v1/conversations/${id}/messages`, { user: 'alice' });
    expect(page.body).toMatchObject({ entries: [{ ciphertext: commit }] });
  });

  test('is answered once for an Idempotency-Key, and refused with other bytes', async () => {
    const id = await opaque();
    const ask = (commit: string): ReturnType<typeof service.ask> =>
      service.ask(`POST /v1/conversations/${id}/commits`, {
        user: 'alice',
        body: { commit },
        headers: { 'idempotency-key': `key-of-${id}` },
      });
    const commit = bytesOf(MB);
    const first = await ask(commit);
    expect(first.status).toBe(200);
    expect((await ask(commit)).body).toEqual(first.body);
    expect((await ask(bytesOf(MB))).body).toMatchObject({ code: 'idempotency-key-reused' });
  });

  test.each([
    ['bytes that are not base64', { commit: `${bytesOf(MB)}?` }, '/commit', 'must be standard base64'],
    ['a long text for an id', { commit: 'AAAA', id: bytesOf(MB) }, '/id', 'Invalid input: expected string'],
    ['a long text for a number', { commit: 'AAAA', epoch: bytesOf(MB) }, '/epoch', 'Invalid input: expected number'],
    ['a long text for a list', { commit: 'AAAA', adds: bytesOf(MB) }, '/adds', 'Invalid input: expected array'],
    ['a number for bytes', { commit: 1, welcome: bytesOf(MB) }, '/commit', 'Invalid input: expected string'],
  ])('with %s is refused at its place', async (_, body, pointer, message) => {
    const answer = await service.ask(`POST /v1/conversations/${await opaque()}/commits`, { user: 'alice', body });
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({
      code: 'malformed',
      errors: [{ pointer, message: expect.stringContaining(message) as unknown }],
    });
  });

  test('with a long text for the policy or for the whole body is refused', async () => {
    const policy = { id: newId(), protocol: 'opaque', policy: bytesOf(MB) };
    for (const body of [policy, bytesOf(MB)]) {
      const answer = await service.ask('POST /v1/conversations', { user: 'alice', body });
      expect(answer.body).toMatchObject({
        code: 'malformed',
        errors: [{ message: expect.stringContaining('expected object') as unknown }],
      });
      expect(answer.text.length).toBeLessThan(1000);
    }
  });

  test('with 200,000 unknown keys is refused before it is parsed', async () => {
    const body = Object.fromEntries(Array.from({ length: 200_000 }, (_, n) => [`k${n}`, 0]));
    const answer = await service.ask('POST /v1/conversations', { user: 'alice', body });
    expect(answer.body).toMatchObject({ code: 'malformed', detail: 'The body has more than 25000 values' });
    expect(answer.text.length).toBeLessThan(1000);
  });
});

test('a full upload of key packages is checked by a thread, and stored', async () => {
  const user = newUser('alice');
  const phone = await deviceOf(service, user);
  const before = await inThreads('key-packages');
  const made = await Promise.all(Array.from({ length: 100 }, () => testKeyPackage(user)));
  const keyPackages = made.map(({ message }) => message);
  const answer = await phone.ask('POST /v1/key-packages', { keyPackages });
  expect(answer.body).toEqual({ stored: 100, duplicates: 0, available: 100 });
  expect(await inThreads('key-packages')).toBe(before + 1);
  const { rows } = await database().pool.query('select key_package from key_package where user_id = $1', [user]);
  const stored = rows.map((row: { key_package: Buffer }) => row.key_package.toString('base64'));
  expect(stored.sort()).toEqual(keyPackages.sort());
  const bad = await phone.ask('POST /v1/key-packages', { keyPackages: [...keyPackages.slice(1), bytesOf(200)] });
  expect(bad.body).toMatchObject({ code: 'malformed', errors: [{ pointer: '/keyPackages/99' }] });
});

test('a message goes with its id', async () => {
  const id = await opaque();
  const message = { id: randomUUID(), ciphertext: bytesOf(700_000) };
  const answer = await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'alice', body: message });
  expect(answer.body).toMatchObject({ results: [{ id: message.id, seq: 1, status: 'accepted' }] });
});
