import type pg from 'pg';
import { expect, test } from 'vitest';
import type { IncrementCommand } from '../../../domain/command.ts';
import { PENDING_INCREMENTS_PER_USER } from '../../../domain/limits.ts';
import type { StoredIncrement } from '../../../domain/staged-command.ts';
import { decide } from '../../../store/decision/decide.ts';
import { countIncrements, listUncounted, storeIncrement } from '../../../store/log/increments.ts';
import { makeSweep } from '../../../store/retention/sweep.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useDatabase } from '../../harness/database.ts';
import { patientPool } from '../../harness/patient-pool.ts';
import { unreadOf } from '../../harness/unread.ts';
import { send, sendOne, startConversation } from '../../harness/requests.ts';

/** Explicit increments between their answer and the moment in which they are counted (invariant 7). */
const database = useDatabase();
const DUPLICATE = { outcome: { status: 'duplicate' } };

function increment(id: string, by = 1, actor = 'alice'): IncrementCommand {
  return { kind: 'increment', id, actor, by };
}

async function store(conversation: string, command: IncrementCommand): Promise<StoredIncrement> {
  const { outcome, stored } = await storeIncrement(database().pool, conversation, command);
  expect(outcome).toEqual({ status: 'accepted' });
  return stored ?? expect.unreachable();
}

async function count(conversation: string, ...stored: StoredIncrement[]): Promise<string[]> {
  return (await decide(database().pool, conversation, stored)).outcomes.map(({ status }) => status);
}

const unread = (conversation: string, user: string): Promise<number> => unreadOf(database().pool, conversation, user);

test('a stored increment counts once, for everybody but its user, whoever comes first and however often', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const stored = await store(conversation, increment('a', 5));
  expect(await unread(conversation, 'bob')).toBe(0);
  expect(await storeIncrement(pool, conversation, increment('a', 5))).toEqual({ ...DUPLICATE, stored });
  expect(await count(conversation, stored, stored)).toEqual(['accepted', 'duplicate']);
  expect(await count(conversation, stored)).toEqual(['duplicate']);
  await countIncrements(pool, conversation);
  expect(await storeIncrement(pool, conversation, increment('a', 5))).toEqual(DUPLICATE);
  expect([await unread(conversation, 'alice'), await unread(conversation, 'bob')]).toEqual([0, 5]);
  await checkInvariants(pool, conversation);
});

test('the same increment stored, and whole from a process of 0.2.0, counts once in either order', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const first = await store(conversation, increment('stored-first', 2));
  expect(await count(conversation, first)).toEqual(['accepted']);
  expect(await sendOne(pool, conversation, increment('stored-first', 2))).toEqual({ status: 'duplicate' });
  const second = await store(conversation, increment('whole-first', 3));
  expect(await sendOne(pool, conversation, increment('whole-first', 3))).toEqual({ status: 'accepted' });
  expect(await count(conversation, second)).toEqual(['duplicate']);
  expect(await unread(conversation, 'bob')).toBe(5);
});

test('what was stored is counted, also when its user was removed, its id was taken, or the conversation moved on', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { protocol: 'opaque' });
  const stored = [await store(conversation, increment('left', 1)), await store(conversation, increment('taken', 10))];
  await send(pool, conversation, [
    { kind: 'read', id: 'taken', actor: 'bob' },
    { kind: 'commit', id: 'c', actor: 'bob', removes: ['alice'] },
  ]);
  await pool.query(`update conversation set successor = 'other' where id = $1`, [conversation]);
  expect(await count(conversation, ...stored)).toEqual(['accepted', 'accepted']);
  expect([await unread(conversation, 'bob'), await unread(conversation, 'carol')]).toEqual([11, 11]);
  expect(await sendOne(pool, conversation, { kind: 'read', id: 'taken', actor: 'bob' })).toMatchObject({
    status: 'duplicate',
  });
});

test('every refusal comes before the increment is stored, in the order of checks', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const refusal = async (command: IncrementCommand, id = conversation): Promise<unknown> =>
    (await storeIncrement(pool, id, command)).outcome;
  const set = (change: string): Promise<unknown> =>
    pool.query(
      `update ${change} from conversation c where c.key = m.conversation and c.id = $1 and user_id = 'alice'`,
      [conversation],
    );
  expect(await refusal(increment('x'), 'bm8tc3VjaC1jb252ZXJzYXRpb24')).toEqual({
    status: 'refused',
    code: 'not-found',
  });
  expect(await refusal(increment('x', 1, 'mallory'))).toEqual({ status: 'refused', code: 'not-found' });
  await store(conversation, increment('waits'));
  await sendOne(pool, conversation, { kind: 'read', id: 'read', actor: 'alice' });
  expect(await refusal(increment('waits', 2))).toEqual({ status: 'refused', code: 'id-reused' });
  expect(await refusal(increment('waits', 1, 'bob'))).toEqual({ status: 'refused', code: 'id-reused' });
  expect(await refusal(increment('read'))).toEqual({ status: 'refused', code: 'id-reused' });
  await set('member m set awaited = true');
  expect(await refusal(increment('x'))).toMatchObject({ code: 'not-allowed' });
  await pool.query(`update conversation set successor = 'other' where id = $1`, [conversation]);
  expect(await refusal(increment('x'))).toEqual({ status: 'refused', code: 'superseded', successor: 'other' });
  await set('member m set left_seq = 0, left_epoch = 0, left_at = now()');
  expect(await refusal(increment('x'))).toMatchObject({ code: 'removed' });
  expect(await refusal(increment('waits', 2))).toMatchObject({ code: 'removed' });
  expect(await refusal(increment('waits'))).toEqual({ status: 'duplicate' });
  await pool.query(`update conversation set deleted_at = now() where id = $1`, [conversation]);
  expect(await refusal(increment('x'))).toEqual({ status: 'refused', code: 'not-found' });
});

test('the increments of one user that wait are bounded, and a repetition is answered even so', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  await store(conversation, increment('first', 1, 'bob'));
  await pool.query(
    `insert into pending_increment (key, conversation, id, user_id, amount)
     select staged_key(), c.key, 'i' || n, 'bob', 1 from conversation c, generate_series(2, $2::int) n where c.id = $1`,
    [conversation, PENDING_INCREMENTS_PER_USER],
  );
  expect((await storeIncrement(pool, conversation, increment('more', 1, 'bob'))).outcome).toMatchObject({
    code: 'rate-limited',
  });
  expect((await storeIncrement(pool, conversation, increment('first', 1, 'bob'))).outcome).toEqual({
    status: 'duplicate',
  });
  await store(conversation, increment('more'));
  await countIncrements(pool, conversation);
  expect(await unread(conversation, 'carol')).toBe(PENDING_INCREMENTS_PER_USER + 1);
  await store(conversation, increment('again', 1, 'bob'));
});

test('two requests with one id that are stored at the same moment have one row', async () => {
  const { pool, url } = database();
  const patient = patientPool(url);
  const conversation = await startConversation(pool);
  const holder = await pool.connect();
  try {
    await holder.query('begin');
    const first = await storeIncrement(holder as unknown as pg.Pool, conversation, increment('same', 4));
    const second = storeIncrement(patient, conversation, increment('same', 4));
    await waitUntil(
      async () =>
        (
          await pool.query(
            `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%store_increment%'`,
          )
        ).rowCount === 1,
      { what: 'the second one waits for the first' },
    );
    await holder.query('commit');
    expect(await second).toEqual({ ...DUPLICATE, stored: first.stored });
  } finally {
    holder.release();
  }
  await countIncrements(pool, conversation);
  expect(await unread(conversation, 'bob')).toBe(4);
});

test('storing waits for nobody who holds the conversation', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const holder = await pool.connect();
  try {
    await holder.query('begin');
    await holder.query('select from conversation where id = $1 for update', [conversation]);
    await store(conversation, increment('a'));
    await holder.query('rollback');
  } finally {
    holder.release();
  }
});

test('increments that nobody counted are found by their age, and go with a deleted conversation', async () => {
  const { pool } = database();
  const [old, young, deleted] = [
    await startConversation(pool),
    await startConversation(pool),
    await startConversation(pool),
  ];
  for (const conversation of [old, young, deleted]) await store(conversation, increment('a'));
  const age = (conversation: string): Promise<unknown> =>
    pool.query(
      `update pending_increment p set at = p.at - interval '1 hour' from conversation c where c.key = p.conversation and c.id = $1`,
      [conversation],
    );
  await age(old);
  await age(deleted);
  await pool.query('update conversation set deleted_at = now() where id = $1', [deleted]);
  const found = await listUncounted(pool, 60_000, 1000);
  expect([old, young, deleted].map((conversation) => found.includes(conversation))).toEqual([true, false, false]);
  expect(await makeSweep(pool, { stagedMs: 60_000, operationsMs: 1e9, idempotencyMs: 1e9 })()).toMatchObject({
    increments: 1,
  });
});
