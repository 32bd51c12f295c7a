import { beforeEach, expect, test } from 'vitest';
import type { Outcome } from '../../../domain/outcome.ts';
import type { OperationJson } from '../../../store/decision/inline-operation.ts';
import { decide } from '../../../store/decision/decide.ts';
import { type StagedKey, stage } from '../../../store/staging/stage.ts';
import { epochOf } from '../../harness/outcomes.ts';
import { useDatabase } from '../../harness/database.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { sha256, startConversation } from '../../harness/requests.ts';

/** Fairness among committers: store/commit/contention.sql. */
const database = useDatabase();
/** Times are moved this far ahead where the test must not depend on how long its own statements take. */
const HOUR_S = 3600;
beforeEach(() => database().pool.query('delete from race'));

test('who lost three races of late has the next commits of others wait, and nobody is refused for it', async () => {
  const conversation = await afterThreeLosses('bob');
  const waiting = await commit(conversation, 'alice', 3);
  expect(waiting).toMatchObject({ status: 'refused', code: 'deferred' });
  expect(forMs(waiting)).toBeGreaterThan(0);
  // The holder does not wait for itself.
  expect(await commit(conversation, 'bob', 3)).toMatchObject({ status: 'accepted', epoch: 4 });
  // Its win ends the reservation.
  expect(await commit(conversation, 'alice', 4)).toMatchObject({ status: 'accepted', epoch: 5 });
  await checkInvariants(database().pool, conversation);
});

test('a commit that has waited once is decided like any other', async () => {
  const conversation = await afterThreeLosses('bob');
  expect(await commit(conversation, 'alice', 3, { deferred: true })).toMatchObject({ status: 'accepted' });
});

test('a reservation is void against a commit that removes its holder', async () => {
  const conversation = await afterThreeLosses('bob');
  expect(await commit(conversation, 'alice', 3, { removes: ['bob'] })).toMatchObject({ status: 'accepted' });
});

test('messages never wait for a reservation', async () => {
  const conversation = await afterThreeLosses('bob');
  const { outcomes } = await decide(
    database().pool,
    conversation,
    [{ kind: 'message', id: 'm', actor: 'alice', sha256: hex('m'), size: 1, epoch: 3, bytes: { ciphertext: 1 } }],
    [Buffer.from('m')],
  );
  expect(outcomes).toMatchObject([{ status: 'accepted' }]);
});

test('a user gets one reservation a minute, and a conversation has one at a time', async () => {
  const conversation = await afterThreeLosses('bob');
  await lose(conversation, 'carol', 3);
  const { rows } = await database().pool.query(
    `select user_id from race r join conversation c on c.key = r.conversation
     where c.id = $1 and reserved_until > clock_timestamp()`,
    [conversation],
  );
  expect(rows.length).toBeLessThanOrEqual(1);
  await database().pool.query('update race set reserved_until = null');
  await lose(conversation, 'bob', 6);
  expect(await commit(conversation, 'alice', 3)).toMatchObject({ status: 'accepted' });
});

test('a user gets one reservation a minute over all its conversations', async () => {
  await afterThreeLosses('bob');
  const other = await afterThreeLosses('bob');
  expect(await commit(other, 'alice', 3)).toMatchObject({ status: 'accepted' });
  await age(62);
  const third = await afterThreeLosses('bob');
  expect(await commit(third, 'alice', 3)).toMatchObject({ code: 'deferred' });
});

test('who won five commits of late leaves a gap while somebody loses, which grows with the losses in a row', async () => {
  const conversation = await conversationAtEpoch(5);
  // Nobody loses.
  expect(await commit(conversation, 'alice', 5)).toMatchObject({ status: 'accepted' });
  await age(-HOUR_S);
  for (const [losses, gapMs] of [2000, 4000, 5000, 5000].entries()) {
    expect(await commit(conversation, 'bob', 4)).toMatchObject({ code: 'epoch-conflict' });
    const before = await sinceLastWinMs(conversation, 'alice');
    const early = await commit(conversation, 'alice', 6, { deferred: true });
    const after = await sinceLastWinMs(conversation, 'alice');
    expect([losses + 1, early]).toMatchObject([losses + 1, { status: 'refused', code: 'rate-limited' }]);
    // Rounded up to a whole millisecond.
    expect(forMs(early)).toBeLessThanOrEqual(gapMs - before + 1);
    expect(forMs(early)).toBeGreaterThanOrEqual(gapMs - after);
  }
  // Users who seldom win do not wait, and neither do users who lose.
  expect(await commit(conversation, 'carol', 6, { deferred: true })).toMatchObject({ status: 'accepted' });
  expect(await commit(conversation, 'bob', 7)).toMatchObject({ status: 'accepted' });
  // After bob has won, no user waits for it.
  expect(await commit(conversation, 'alice', 8)).toMatchObject({ status: 'accepted', epoch: 9 });
  await checkInvariants(database().pool, conversation);
});

test('the gap passes by itself, and a refusal leaves nothing behind', async () => {
  const conversation = await conversationAtEpoch(5);
  await lose(conversation, 'bob', 1);
  const before = await rowsOf(conversation);
  expect(await commit(conversation, 'alice', 5)).toMatchObject({ code: 'rate-limited' });
  expect(await rowsOf(conversation)).toEqual(before);
  await age(2);
  expect(await commit(conversation, 'alice', 5)).toMatchObject({ status: 'accepted' });
});

test('a commit that removes all who lost is not held back', async () => {
  const conversation = await conversationAtEpoch(5);
  await lose(conversation, 'bob', 1);
  await lose(conversation, 'carol', 1);
  expect(await commit(conversation, 'alice', 5, { removes: ['bob'] })).toMatchObject({ code: 'rate-limited' });
  expect(await commit(conversation, 'alice', 5, { removes: ['bob', 'carol'] })).toMatchObject({ status: 'accepted' });
});

test('those who win often share one gap', async () => {
  const conversation = await conversationAtEpoch(5);
  for (let epoch = 5; epoch < 10; epoch++) await commit(conversation, 'carol', epoch);
  await lose(conversation, 'bob', 1);
  expect(await commit(conversation, 'alice', 10)).toMatchObject({ code: 'rate-limited' });
  await age(2);
  expect(await commit(conversation, 'alice', 10)).toMatchObject({ status: 'accepted' });
  expect(await commit(conversation, 'carol', 11)).toMatchObject({ code: 'rate-limited' });
});

test('whoever loses to another device of its own has lost to nobody', async () => {
  const conversation = await conversationAtEpoch(5);
  for (let epoch = 5; epoch < 10; epoch++) await commit(conversation, 'carol', epoch);
  await commit(conversation, 'alice', 0);
  expect(await commit(conversation, 'carol', 10)).toMatchObject({ status: 'accepted' });
});

test.each([
  ['without a pause', 0],
  ['at one commit a second', 1],
  ['at one commit in two seconds', 2],
])('a rival %s does not keep one who needs 1.5 s for a commit from winning', async (_, pauseS) => {
  const BUILD_S = 1.5;
  const STEP_S = 0.25;
  const conversation = await startConversation(database().pool);
  let epoch = 0;
  let due = 0;
  let bob = { base: 0, ready: BUILD_S };
  for (let now = 0; ; now += STEP_S) {
    if (now >= bob.ready) {
      const outcome = await commit(conversation, 'bob', bob.base, { deferred: true });
      if (outcome?.status === 'accepted') break;
      bob = { base: epoch, ready: now + BUILD_S };
    }
    while (due <= now) {
      const outcome = await commit(conversation, 'alice', epoch, { deferred: true });
      if (outcome?.status === 'accepted') epoch = epochOf(outcome) ?? 0;
      due += Math.max(pauseS, STEP_S / 2);
    }
    expect(now).toBeLessThan(10);
    await age(STEP_S);
  }
});

test('losses that are long ago do not count', async () => {
  const conversation = await conversationAtEpoch(3);
  await lose(conversation, 'bob', 2);
  await database().pool.query(`update race set lost_at = lost_at - interval '11 s'`);
  await lose(conversation, 'bob', 2);
  expect(await commit(conversation, 'alice', 3)).toMatchObject({ status: 'accepted' });
});

test('the staged bytes of a commit that is to wait are still there for its second try', async () => {
  const conversation = await afterThreeLosses('bob');
  const { pool } = database();
  const [body] = await stage(pool, [
    { conversation, user: 'alice', epoch: 3, ciphertext: Buffer.from('c'), request: {} },
  ]);
  const operation: OperationJson = { kind: 'commit', id: 'staged', sha256: hex('c'), size: 1, body: keyOf(body) };
  expect((await decide(pool, conversation, [operation])).outcomes).toMatchObject([{ code: 'deferred' }]);
  const again = await decide(pool, conversation, [{ ...operation, deferred: true }]);
  expect(again.outcomes).toMatchObject([{ status: 'accepted', epoch: 4 }]);
  expect((await pool.query('select from staged where key = $1', [body])).rowCount).toBe(0);
});

/** Alice has committed so many times. */
async function conversationAtEpoch(end: number): Promise<string> {
  const conversation = await startConversation(database().pool, { protocol: 'opaque' });
  for (let epoch = 0; epoch < end; epoch++) {
    expect(await commit(conversation, 'alice', epoch)).toMatchObject({ status: 'accepted' });
  }
  return conversation;
}

/** Lets time pass for all races. */
async function age(seconds: number): Promise<void> {
  await database().pool.query(
    `update race set lost_at = lost_at - x, granted_at = granted_at - x, reserved_until = reserved_until - x,
       won = array(select t - x from unnest(won) with ordinality as w (t, n) order by n)
     from (select make_interval(secs => $1) as x) by`,
    [seconds],
  );
}

/** Everything of the conversation that a refusal could change. */
async function rowsOf(conversation: string): Promise<unknown[]> {
  const { rows } = await database().pool.query<{ row: string }>(
    `select c::text as row from conversation c where id = $1
     union all select r::text from race r join conversation c on c.key = r.conversation where c.id = $1
     union all select o::text from operation o join conversation c on c.key = o.conversation where c.id = $1`,
    [conversation],
  );
  return rows;
}

/** A reservation lasts 300 ms, which are soon over on a busy machine: once it is there, it lasts for an hour longer. */
async function afterThreeLosses(user: string): Promise<string> {
  const conversation = await conversationAtEpoch(3);
  await lose(conversation, user, 3);
  const { rows } = await database().pool.query<{ lasts: number }>(
    `with before as (select * from race where reserved_until > granted_at and reserved_until <= granted_at + interval '1 s')
     update race r set reserved_until = r.reserved_until + interval '1 hour' from before b
     where (r.conversation, r.user_id) = (b.conversation, b.user_id)
     returning round(extract(epoch from b.reserved_until - b.granted_at) * 1000)::int as lasts`,
  );
  expect(rows.map(({ lasts }) => lasts).filter((lasts) => lasts !== 300)).toEqual([]);
  return conversation;
}

/** Milliseconds since a user's last accepted commit. */
async function sinceLastWinMs(conversation: string, user: string): Promise<number> {
  const { rows } = await database().pool.query<{ ms: number }>(
    `select (extract(epoch from clock_timestamp() - won[1]) * 1000)::float as ms
     from race r join conversation c on c.key = r.conversation where c.id = $1 and user_id = $2`,
    [conversation, user],
  );
  return rows[0]?.ms ?? expect.unreachable();
}

async function lose(conversation: string, user: string, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    expect(await commit(conversation, user, 0)).toMatchObject({ status: 'refused', code: 'epoch-conflict' });
  }
}

let count = 0;

async function commit(
  conversation: string,
  actor: string,
  epoch: number,
  more: { readonly removes?: readonly string[]; readonly deferred?: true } = {},
): Promise<Outcome | undefined> {
  const bytes = `commit ${count++}`;
  const operation: OperationJson = {
    kind: 'commit',
    id: bytes,
    actor,
    epoch,
    sha256: hex(bytes),
    size: bytes.length,
    bytes: { ciphertext: 1 },
    ...more,
  };
  return (await decide(database().pool, conversation, [operation], [Buffer.from(bytes)])).outcomes[0];
}

function forMs(outcome: Outcome | undefined): number {
  return outcome?.status === 'refused' ? (outcome.forMs ?? 0) : 0;
}

function keyOf(staged: StagedKey | undefined): number {
  if (typeof staged !== 'number') throw new Error('The bytes were not staged');
  return staged;
}

function hex(text: string): string {
  return sha256(text).toString('hex');
}
