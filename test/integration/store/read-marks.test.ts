import fc from 'fast-check';
import type pg from 'pg';
import { expect, test } from 'vitest';
import type { Outcome } from '../../../domain/outcome.ts';
import { deciderOf } from '../../../store/decision/decide.ts';
import { viewConversation } from '../../../store/conversation/conversations.ts';
import { readUnreadTotals } from '../../../store/log/unread.ts';
import { retain } from '../../../store/retention/retention.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { useDatabase } from '../../harness/database.ts';
import { PROPERTY_TIMEOUT_MS, propertyOptions } from '../../harness/random-requests.ts';
import { type Request, send, sendOne, startConversation } from '../../harness/requests.ts';

const database = useDatabase();

const messages = (from: number, to: number): Request[] =>
  Array.from({ length: to - from + 1 }, (_, i) => {
    return { kind: 'message', id: `m${from + i}`, actor: 'alice', body: `text ${from + i}`, epoch: 0 };
  });
let count = 0;
const read = (
  seq: number | undefined,
  more: { back?: true; id?: string } = {},
): Extract<Request, { kind: 'read' }> => ({
  kind: 'read',
  id: `r${++count}`,
  actor: 'bob',
  ...(seq === undefined ? {} : { seq }),
  ...more,
});
const unread = async (conversation: string, request: Request): Promise<unknown> => {
  const outcome: Outcome = await sendOne(database().pool, conversation, request);
  return 'unread' in outcome ? outcome.unread : outcome;
};
const seen = async (conversation: string, user = 'bob'): Promise<number | undefined> =>
  (await viewConversation(database().pool, conversation, user))?.unread;

test('a mark moves back only with `back`, not before the joining entry, and clears no increments (invariant 7)', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { members: ['alice', 'bob'] });
  await send(pool, conversation, messages(1, 9));
  expect(await unread(conversation, read(undefined))).toBe(0);
  expect(await unread(conversation, read(4))).toBe(0);
  expect(await unread(conversation, read(4, { back: true }))).toBe(5);
  // Only back: what is further on changes nothing.
  expect(await unread(conversation, read(7, { back: true }))).toBe(5);
  await sendOne(pool, conversation, { kind: 'increment', id: 'i', actor: 'alice', by: 10 });
  expect(await unread(conversation, read(3, { back: true }))).toBe(16);
  expect(await seen(conversation)).toBe(16);
  expect(await unread(conversation, read(5))).toBe(4);
  expect(await unread(conversation, read(0, { back: true }))).toBe(9);

  await send(pool, conversation, [
    { kind: 'commit', id: 'c10', actor: 'alice', body: 'commit', epoch: 0, removes: ['bob'] },
    { kind: 'commit', id: 'c11', actor: 'alice', body: 'commit 2', epoch: 1, adds: ['bob'] },
    { kind: 'message', id: 'm12', actor: 'alice', body: 'text 12', epoch: 2 },
  ]);
  expect(await unread(conversation, read(undefined))).toBe(0);
  expect(await unread(conversation, read(0, { back: true }))).toBe(1);
  await checkInvariants(pool, conversation);
});

test('a mark that is sent again is answered again, and with another direction its id is used (invariant 3)', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { members: ['alice', 'bob'] });
  await send(pool, conversation, messages(1, 5));
  const back = read(2, { back: true, id: 'once' });
  expect(await unread(conversation, read(undefined))).toBe(0);
  expect(await sendOne(pool, conversation, back)).toEqual({ status: 'accepted', unread: 3 });
  expect(await unread(conversation, read(undefined))).toBe(0);
  // Late: the mark of the other device stays.
  expect(await sendOne(pool, conversation, back)).toEqual({ status: 'duplicate', unread: 3 });
  expect(await seen(conversation)).toBe(0);
  expect(await sendOne(pool, conversation, read(2, { id: 'once' }))).toMatchObject({ code: 'id-reused' });
});

test('of marks of several devices the one that is decided last holds', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { members: ['alice', 'bob'] });
  await send(pool, conversation, messages(1, 20));
  const decider = deciderOf(pool);
  for (let round = 0; round < 30; round++) {
    await unread(conversation, read(10, { back: true }));
    // Two calls at once; the lock of the conversation gives them an order, and each answer says what was true then.
    const [forward, back] = await Promise.all(
      [read(15), read(5, { back: true })].map(async (request) => {
        const { outcomes } = await decider.decide({ conversation, operations: [request], bytes: [] });
        return outcomes[0] as { unread: number };
      }),
    );
    const now = await seen(conversation);
    // Forward came last: 5 of 20 are unread. Back came last: 15 are.
    expect([5, 15]).toContain(now);
    expect([forward?.unread, back?.unread]).toEqual([5, 15]);
  }
  await checkInvariants(pool, conversation);
});

/** Makes the log old up to an entry, as if time had gone by, and lets the timer work. */
async function expire(pool: pg.Pool, conversation: string, upTo: number, days: number): Promise<void> {
  await pool.query(
    `update entry e set at = e.at - make_interval(days => $3) from conversation c
     where c.key = e.conversation and c.id = $1 and e.seq <= $2 and e.at > now() - make_interval(days => $3)`,
    [conversation, upTo, days],
  );
  await retain(pool, conversation, Date.now(), 100);
}

test('retention takes what it deletes out of the counts, and leaves nothing that nobody can clear', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { members: ['alice', 'bob'], policy: { retentionDays: 7 } });
  // Bob's device has read nothing, so that the rows stay for a while.
  await pool.query(`insert into device (user_id, device_id) values ('bob', 'phone')`);
  await send(pool, conversation, messages(1, 10));
  expect(await seen(conversation)).toBe(10);
  await expire(pool, conversation, 6, 8);
  expect(await seen(conversation)).toBe(4);
  expect(await unread(conversation, read(3))).toBe(4);
  // Back to what is gone: it stays gone.
  expect(await unread(conversation, read(1, { back: true }))).toBe(4);
  expect(await unread(conversation, read(8))).toBe(2);
  expect(await unread(conversation, read(2, { back: true }))).toBe(4);
  await checkInvariants(pool, conversation);

  await expire(pool, conversation, 10, 8);
  expect(await seen(conversation)).toBe(0);
  // Then the entries go too, and still there is nothing to clear; a mark may come late.
  await expire(pool, conversation, 10, 40);
  expect(await seen(conversation)).toBe(0);
  for (const mark of [read(2), read(undefined), read(0, { back: true })])
    expect(await unread(conversation, mark)).toBe(0);
  await send(pool, conversation, messages(11, 12));
  expect(await seen(conversation)).toBe(2);
  expect(await unread(conversation, read(11))).toBe(1);
  await checkInvariants(pool, conversation);
});

test('totals are the sums of what the list shows', async () => {
  const { pool } = database();
  const carol = async (): Promise<unknown> => readUnreadTotals(pool, 'carol');
  expect(await carol()).toEqual({ total: 0, conversations: 0, hasMore: false });
  const [one, two, left, gone] = await Promise.all(
    [1, 2, 3, 4].map(() => startConversation(pool, { members: ['alice', 'carol'] })),
  );
  for (const id of [one, two, left, gone]) await send(pool, id ?? '', messages(1, 3));
  await sendOne(pool, one ?? '', { kind: 'increment', id: 'i', actor: 'alice', by: 4 });
  await sendOne(pool, two ?? '', { ...read(undefined), actor: 'carol' });
  expect(await carol()).toEqual({ total: 13, conversations: 3, hasMore: false });
  await sendOne(pool, left ?? '', { kind: 'commit', id: 'c', actor: 'alice', body: 'c', epoch: 0, removes: ['carol'] });
  await sendOne(pool, gone ?? '', { kind: 'delete', id: 'd', actor: 'alice' });
  expect(await carol()).toEqual({ total: 7, conversations: 1, hasMore: false });
});

type Step =
  | { readonly do: 'say' | 'increment' | 'expire' | 'drop' }
  | { readonly do: 'read'; readonly seq: number; readonly back: boolean };

test(
  'whatever happens, the count is that of the messages after the mark that have their bodies, and reading all clears it',
  async () => {
    const { pool } = database();
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({
        do: fc.constantFrom('say' as const, 'say' as const, 'increment' as const, 'expire' as const, 'drop' as const),
      }),
      fc.record({ do: fc.constant('read' as const), seq: fc.nat(14), back: fc.boolean() }),
    );
    const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      const conversation = await startConversation(pool, { members: ['alice', 'bob'], policy: { retentionDays: 7 } });
      await pool.query(`delete from device; insert into device (user_id, device_id) values ('bob', 'phone')`);
      let [last, mark, expired, increments] = [0, 0, 0, 0];
      const expected = (): number => last - Math.max(mark, expired) + increments;
      for (const one of steps) {
        if (one.do === 'say') await send(pool, conversation, messages(++last, last));
        else if (one.do === 'increment') {
          increments++;
          await sendOne(pool, conversation, { kind: 'increment', id: `i${++count}`, actor: 'alice', by: 1 });
        } else if (one.do === 'read') {
          const { seq, back } = one;
          if (back) mark = Math.min(mark, seq);
          else {
            mark = Math.max(mark, Math.min(seq, last));
            increments = 0;
          }
          expect(await unread(conversation, read(seq, back ? { back } : {}))).toBe(expected());
        } else {
          await expire(pool, conversation, last, one.do === 'expire' ? 8 : 40);
          expired = last;
        }
        expect(await seen(conversation)).toBe(expected());
      }
      await checkInvariants(pool, conversation);
      expect(await unread(conversation, read(undefined))).toBe(0);
    });
    await fc.assert(property, propertyOptions(25));
  },
  PROPERTY_TIMEOUT_MS,
);
