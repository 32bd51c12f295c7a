import type pg from 'pg';
import { expect, test } from 'vitest';
import type { LifeEvent, LookForNews } from '../../../domain/life-event.ts';
import { readConversationNow } from '../../../store/conversation/now.ts';
import { makeLogNews } from '../../../streams/life/log-news.ts';
import { useDatabase } from '../../harness/database.ts';
import { keepConversation, loseConversation } from '../../harness/kept-conversation.ts';
import { type Request, send, startConversation } from '../../harness/requests.ts';

// What operators are told of a log, look by look, also after a restore of the database.

const database = useDatabase();

let messages = 0;
async function write(conversation: string, count: number): Promise<void> {
  const requests = Array.from({ length: count }, (): Request => {
    const id = `m${++messages}`;
    return { kind: 'message', id, body: `text of ${id}`, epoch: 0, actor: 'alice' };
  });
  const { outcomes } = await send(database().pool, conversation, requests);
  expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['accepted']));
}

function watch(conversation: string, pool = database().pool): LookForNews {
  const path = { mode: 'direct', now: 'direct' } as const;
  const own = { path, waiting: 0, inFlight: 0 };
  return makeLogNews({ pool, own: () => own, incarnation: () => undefined })(conversation);
}

/** The entries, and the restarts, by what matters of them. */
function read(news: readonly LifeEvent[]): unknown[] {
  return news.flatMap((one): unknown[] => {
    if (one.type === 'log-restarted') return [[one.type, one.oldestSeq, one.lastSeq]];
    return one.type === 'entry' ? [one.seq] : [];
  });
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test('after a restore the oldest entry is named, and the newest entries are told again at once', async () => {
  const conversation = await startConversation(database().pool);
  const look = watch(conversation);
  await write(conversation, 60);
  await database().pool.query('update conversation set oldest_seq = 5 where id = $1', [conversation]);
  const restore = await keepConversation(database().pool, conversation);
  await write(conversation, 70);
  expect(read(await look())).toEqual(range(81, 130));
  await restore();
  expect(read(await look())).toEqual([['log-restarted', 5, 60], ...range(11, 60)]);
  await write(conversation, 1);
  expect(read(await look())).toEqual([61]);
});

test('a restore is noticed also when so much was written since that the newest entries are all others', async () => {
  const conversation = await startConversation(database().pool);
  const look = watch(conversation);
  await write(conversation, 5);
  const restore = await keepConversation(database().pool, conversation);
  await write(conversation, 5);
  expect(read(await look())).toEqual(range(1, 10));
  // Nothing is wrong when only as much is written.
  await write(conversation, 260);
  expect(read(await look())).toEqual(range(71, 270));
  await restore();
  await write(conversation, 500);
  expect(read(await look())).toEqual([['log-restarted', 1, 505], ...range(456, 505)]);
});

test('a conversation that a restore took away is not found any more', async () => {
  const conversation = await startConversation(database().pool);
  const look = watch(conversation);
  await write(conversation, 1);
  await look();
  await loseConversation(database().pool, conversation);
  await expect(look()).rejects.toThrow(expect.objectContaining({ code: 'not-found' }));
});

test('whether a reset is open is counted over all members, so it is not counted with every look', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const stateIf = async (isResetOpen?: boolean): Promise<string | undefined> =>
    (await readConversationNow(pool, conversation, isResetOpen))?.state;
  expect([await stateIf(), await stateIf(true), await stateIf(false)]).toEqual(['active', 'reset-open', 'active']);
  const counts: unknown[] = [];
  const counting = {
    query: (query: pg.QueryConfig) => {
      if (query.name === 'read-conversation-now') counts.push(query.values?.at(-1));
      return pool.query(query);
    },
  } as unknown as pg.Pool;
  const look = watch(conversation, counting);
  for (let i = 0; i < 3; i++) await look();
  expect(counts).toEqual([null, false, false]);
  await pool.query('update conversation set deleted_at = now() where id = $1', [conversation]);
  expect([await stateIf(true), await stateIf(false)]).toEqual(['deleted', 'deleted']);
});
