import { expect, test } from 'vitest';
import { viewConversation } from '../../../store/conversation/conversations.ts';
import { decide } from '../../../store/decision/decide.ts';
import { listDue, purgeDeleted, retain } from '../../../store/retention/retention.ts';
import { createInStore } from '../../../tools/harness/submissions.ts';
import { useDatabase } from '../../harness/database.ts';
import { type Request, sendOne, startConversation } from '../../harness/requests.ts';

/** Conversations that everybody left. */
const database = useDatabase();
const DAY_MS = 86_400_000;

let count = 0;
const leave = (conversation: string, actor: string): Promise<unknown> =>
  sendOne(database().pool, conversation, { kind: 'leave', id: `leave-${count++}`, actor });

async function dueIn(conversation: string): Promise<number | undefined> {
  const { dueAt } = (await decide(database().pool, conversation, [])).facts;
  return dueAt === undefined ? undefined : (dueAt - Date.now()) / DAY_MS;
}

const isThere = async (conversation: string): Promise<boolean> =>
  (await decide(database().pool, conversation, [])).facts.found;

const step = (conversation: string, days: number): Promise<unknown> =>
  retain(database().pool, conversation, Date.now() + days * DAY_MS, 100);

test('30 days after its last member left, a conversation is deleted with all its rows, and its id stays taken', async () => {
  const { pool } = database();
  const conversation = await createInStore(pool, ['alice', 'bob']);
  await sendOne(pool, conversation, { kind: 'message', id: 'm', actor: 'alice', body: 'text' });
  await leave(conversation, 'alice');
  expect(await dueIn(conversation), 'bob is there').toBeUndefined();
  await leave(conversation, 'bob');
  expect(await dueIn(conversation)).toBeCloseTo(30, 1);
  expect(await step(conversation, 29.9)).toEqual({ changed: false });
  expect(await isThere(conversation)).toBe(true);
  expect(await dueIn(conversation)).toBeCloseTo(30, 1);
  expect(await listDue(pool, Date.now() + 31 * DAY_MS, 100)).toContain(conversation);

  expect(await step(conversation, 30.1)).toEqual({ changed: true });
  expect(await isThere(conversation)).toBe(false);
  expect(await viewConversation(pool, conversation, 'bob')).toBeUndefined();
  expect(await listDue(pool, Date.now() + 1000, 100), 'its rows are still to be removed').toContain(conversation);
  expect(await step(conversation, 30.1)).toBeUndefined();
  expect(await purgeDeleted(pool, conversation, 1000)).toBe(true);
  const { rows } = await pool.query(
    `select (select count(*)::int from entry where conversation = key) as entries,
       (select count(*)::int from member where conversation = key) as members from conversation where id = $1`,
    [conversation],
  );
  expect(rows).toEqual([{ entries: 0, members: 0 }]);
});

test('who joins again in time keeps it', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { members: ['alice'], policy: { externalJoin: 'anyone' } });
  await leave(conversation, 'alice');
  expect(await dueIn(conversation)).toBeCloseTo(30, 1);
  const back = { kind: 'commit', id: 'back', actor: 'alice', body: 'back', epoch: 0, external: true };
  expect(await sendOne(pool, conversation, back as unknown as Request)).toMatchObject({ status: 'accepted' });
  await step(conversation, 31);
  expect(await isThere(conversation)).toBe(true);
  expect(await dueIn(conversation)).toBeUndefined();
  // The time begins again.
  await leave(conversation, 'alice');
  expect(await dueIn(conversation)).toBeCloseTo(30, 1);
  await step(conversation, 31);
  expect(await isThere(conversation)).toBe(false);
});

test.each([
  { abandonedDays: 7, days: 7 },
  { abandonedDays: 0, days: undefined },
])('the policy says after how many days, and 0 is never: $abandonedDays', async ({ abandonedDays, days }) => {
  const conversation = await createInStore(database().pool, ['alice'], { abandonedDays });
  await leave(conversation, 'alice');
  if (days === undefined) {
    expect(await dueIn(conversation)).toBeUndefined();
    await step(conversation, 5000);
    expect(await isThere(conversation)).toBe(true);
  } else {
    expect(await dueIn(conversation)).toBeCloseTo(days, 1);
    await step(conversation, days + 0.1);
    expect(await isThere(conversation)).toBe(false);
  }
});

test('retention and Welcomes do not forget the time', async () => {
  const { pool } = database();
  const conversation = await createInStore(pool, ['alice'], { retentionDays: 2 });
  await sendOne(pool, conversation, { kind: 'message', id: 'm', actor: 'alice', body: 'text' });
  await leave(conversation, 'alice');
  expect(await dueIn(conversation)).toBeCloseTo(2, 1);
  for (let i = 0; i < 5; i++) await step(conversation, 3 + i);
  expect(await dueIn(conversation)).toBeCloseTo(30, 1);
  await step(conversation, 30.1);
  expect(await isThere(conversation)).toBe(false);
});
