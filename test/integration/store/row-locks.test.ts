import { randomUUID } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { makeSweep } from '../../../store/retention/sweep.ts';
import { stage } from '../../../store/staging/stage.ts';
import { wakeEvictedWelcomes } from '../../../store/welcome/welcomes.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { useCleanup } from '../../harness/cleanup.ts';
import { holdRows } from '../../harness/row-locks.ts';

/** A session such as an operator's psql holds rows of conversations `for update`: that delays nobody else (docs/explanation/locks.md). */
const { service, database } = useApi(() => ({ requestDeadlineMs: 5000 }));
const later = useCleanup();
afterEach(() => database().pool.query('delete from staged'));

const AGES = { stagedMs: -60_000, operationsMs: 86_400_000, idempotencyMs: 86_400_000 };

interface Message {
  readonly id: string;
  readonly ciphertext: string;
}

const message = (): Message => ({ id: randomUUID(), ciphertext: base64('text') });
const send = (conversation: string, body = message()): Promise<Answer> =>
  service.ask(`POST /v1/conversations/${conversation}/messages`, { user: 'alice', body });

/** Conversations with one message each. */
function start(count: number): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
      expect((await send(id)).status).toBe(200);
      return id;
    }),
  );
}

async function lock(conversations: readonly string[]): Promise<() => Promise<void>> {
  const release = await holdRows(database().url, conversations);
  later('session', release);
  return release;
}

test.each([1, 50])(
  'while a session holds the rows of %i conversations, requests to others succeed, and requests to them are told why in time',
  async (count) => {
    const locked = await start(count);
    const free = await start(4);
    const release = await lock(locked);
    const messages = locked.map(() => message());
    const early = messages.map(() => message());
    let answered = 0;
    const stuck = locked.flatMap((id, i) =>
      [messages[i], early[i]].map(async (body) => {
        const answer = await send(id, body);
        answered++;
        return answer;
      }),
    );
    const commit = service.ask(`POST /v1/conversations/${locked[0]}/members`, {
      user: 'alice',
      body: { users: ['carol'] },
    });
    let rounds = 0;
    do {
      const answers = await Promise.all(
        free.flatMap((id) => [
          send(id),
          service.ask(`POST /v1/conversations/${id}/members`, { user: 'alice', body: { users: [`user-${rounds}`] } }),
          service.ask(`POST /v1/conversations/${id}/read`, { user: 'bob', body: {} }),
          service.ask(`GET /v1/conversations/${id}/messages`, { user: 'bob' }),
        ]),
      );
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      rounds++;
    } while (answered < stuck.length);
    expect(rounds).toBeGreaterThan(1);
    for (const { status, body } of [...(await Promise.all(stuck)), await commit]) {
      expect([status, body.code, body.detail]).toEqual([
        503,
        'unavailable',
        'The conversation is locked in the database',
      ]);
    }

    await release();
    const after = await Promise.all(locked.map((id, i) => send(id, messages[i])));
    for (const { status, body } of after) {
      expect([status, body.results]).toMatchObject([200, [{ seq: 2, status: 'accepted' }]]);
    }
  },
);

test('an acknowledgement stores positions of locked conversations with the others', async () => {
  const [[locked = ''], [free = '']] = [await start(1), await start(1)];
  await lock([locked]);
  const positions = { [locked]: 1, [free]: 1 };
  const answer = await service.ask('POST /v1/ack', { user: 'bob', body: { positions } });
  expect([answer.status, answer.body]).toEqual([200, { positions, restarted: {} }]);
});

test('bytes are staged for locked conversations with the others, and the sweep leaves those to its next run', async () => {
  const { pool } = database();
  const [[locked = ''], [free = '']] = [await start(1), await start(1)];
  const release = await lock([locked]);
  const rows = [locked, free].map((conversation) => ({
    conversation,
    user: 'alice',
    epoch: 0,
    ciphertext: Buffer.from('text'),
  }));
  expect(await stage(pool, rows)).toEqual([expect.any(Number), expect.any(Number)]);
  const sweep = makeSweep(pool, AGES);
  expect(await sweep()).toMatchObject({ staged: 1 });
  await release();
  expect(await sweep()).toMatchObject({ staged: 1 });
});

test('the sweep wakes others than locked conversations for Welcomes that lost their place', async () => {
  const { pool } = database();
  const [[locked = ''], [free = '']] = [await start(1), await start(1)];
  await pool.query(
    `insert into welcome (conversation, user_id, seq, epoch, evicted_at) select key, 'erin', 1, 0, now() from conversation
     where id = any ($1)`,
    [[locked, free]],
  );
  const release = await lock([locked]);
  expect(await wakeEvictedWelcomes(pool)).toBe(1);
  await release();
  expect(await wakeEvictedWelcomes(pool)).toBe(1);
});

test('a user is erased while one of its conversations is locked; the sweep goes on with that one', async () => {
  const user = `user-${randomUUID()}`;
  const ids = await Promise.all(
    Array.from({ length: 2 }, () => createConversation(service, [user], { protocol: 'opaque' })),
  );
  const [locked = '', free = ''] = ids;
  const release = await lock([locked]);
  const answer = await service.ask('DELETE /v1/me', { user });
  expect(answer.status).toBe(204);
  const members = async (id: string): Promise<unknown> =>
    (await service.ask(`GET /v1/conversations/${id}`, { user: 'alice' })).body.memberCount;
  expect([await members(locked), await members(free)]).toEqual([2, 1]);
  await release();
  await database().pool.query('update erasure set tried_at = null');
  await makeSweep(database().pool, AGES)();
  expect(await members(locked)).toBe(1);
});
