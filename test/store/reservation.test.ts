import { expect, test } from 'vitest';
import type { Operation, Outcome } from '../../domain/operation.ts';
import { decide } from '../../store/decide.ts';
import { type Staged, stage } from '../../store/stage.ts';
import { useDatabase } from '../support/database.ts';
import { checkInvariants } from '../support/invariants.ts';
import { sha256, startConversation } from '../support/requests.ts';

/** Fairness among committers: store/functions/races.sql. */
const database = useDatabase();

test('who lost three races of late has the next commits of others wait, and nobody is refused for it', async () => {
  const conversation = await afterThreeLosses('bob');
  const waiting = await commit(conversation, 'alice', 3);
  expect(waiting).toMatchObject({ status: 'refused', code: 'deferred' });
  expect(forMs(waiting)).toBeGreaterThan(0);
  expect(forMs(waiting)).toBeLessThanOrEqual(300);
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

test('who won ten commits of late waits while somebody loses to it, and not when nobody does', async () => {
  const conversation = await startConversation(database().pool);
  for (let epoch = 0; epoch < 11; epoch++) {
    expect(await commit(conversation, 'alice', epoch)).toMatchObject({ status: 'accepted' });
  }
  expect(await commit(conversation, 'bob', 10)).toMatchObject({ code: 'epoch-conflict' });
  expect(await commit(conversation, 'alice', 11)).toMatchObject({ status: 'refused', code: 'deferred' });
  expect(await commit(conversation, 'alice', 11, { deferred: true })).toMatchObject({ status: 'accepted' });
  // Bob is not held back, and once he has won nobody is.
  expect(await commit(conversation, 'bob', 12)).toMatchObject({ status: 'accepted' });
  expect(await commit(conversation, 'alice', 13)).toMatchObject({ status: 'accepted' });
});

test('losses that are long ago do not count', async () => {
  const conversation = await conversationAtEpoch3();
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
  const operation: Operation = { kind: 'commit', id: 'staged', sha256: hex('c'), size: 1, body: keyOf(body) };
  expect((await decide(pool, conversation, [operation])).outcomes).toMatchObject([{ code: 'deferred' }]);
  const again = await decide(pool, conversation, [{ ...operation, deferred: true }]);
  expect(again.outcomes).toMatchObject([{ status: 'accepted', epoch: 4 }]);
  expect((await pool.query('select from staged where key = $1', [body])).rowCount).toBe(0);
});

async function conversationAtEpoch3(): Promise<string> {
  const conversation = await startConversation(database().pool);
  for (const epoch of [0, 1, 2]) await commit(conversation, 'alice', epoch);
  return conversation;
}

async function afterThreeLosses(user: string): Promise<string> {
  const conversation = await conversationAtEpoch3();
  await lose(conversation, user, 3);
  return conversation;
}

async function lose(conversation: string, user: string, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    expect(await commit(conversation, user, 2)).toMatchObject({ status: 'refused', code: 'epoch-conflict' });
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
  const operation: Operation = {
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

function keyOf(staged: Staged | undefined): number {
  if (typeof staged !== 'number') throw new Error('The bytes were not staged');
  return staged;
}

function hex(text: string): string {
  return sha256(text).toString('hex');
}
