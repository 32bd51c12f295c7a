import { beforeEach, expect, test } from 'vitest';
import { MAX_RESERVATION_MS } from '../../../domain/limits.ts';
import type { Outcome } from '../../../domain/outcome.ts';
import { decide } from '../../../store/decision/decide.ts';
import { stage } from '../../../store/staging/stage.ts';
import { useDatabase } from '../../harness/database.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { inline, startConversation } from '../../harness/requests.ts';

const database = useDatabase();
beforeEach(() => database().pool.query('delete from race'));

interface Attempt {
  readonly epoch: number;
  readonly removes?: readonly string[];
  readonly deferred?: true;
}

let made = 0;

/** A commit as the lane hands it over: only one that has waited says so. */
async function commit(conversation: string, actor: string, { deferred, ...attempt }: Attempt): Promise<Outcome> {
  const id = `commit-${++made}`;
  const { operations, bytes } = inline([{ kind: 'commit', id, actor, body: id, ...attempt }]);
  const asSent = operations.map(({ ...operation }) => {
    if (deferred === undefined) delete (operation as { deferred?: true }).deferred;
    return operation;
  });
  const { outcomes } = await decide(database().pool, conversation, asSent, bytes);
  const [outcome] = outcomes;
  if (outcome === undefined) throw new Error('There is no outcome');
  return outcome;
}

/** An opaque conversation that has left epoch 0, and a user who has lost `times` races for it. */
async function losing(user: string, times: number): Promise<string> {
  const conversation = await startConversation(database().pool, { protocol: 'opaque' });
  expect(await commit(conversation, 'carol', { epoch: 0 })).toMatchObject({ status: 'accepted' });
  await lose(conversation, user, times);
  return conversation;
}

async function lose(conversation: string, user: string, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    expect(await commit(conversation, user, { epoch: 0 })).toMatchObject({ code: 'epoch-conflict' });
  }
}

/** Lets time pass for one user's races. */
async function age(conversation: string, user: string, seconds: number): Promise<void> {
  await database().pool.query(
    `update race r set lost_at = lost_at - $3 * interval '1 s', granted_at = granted_at - $3 * interval '1 s',
       reserved_until = reserved_until - $3 * interval '1 s'
     from conversation c where c.key = r.conversation and c.id = $1 and r.user_id = $2`,
    [conversation, user, seconds],
  );
}

const DEFERRED = { status: 'refused', code: 'deferred' };

test('two lost races reserve nothing, three do: others wait at most 300 ms, the loser does not', async () => {
  const conversation = await losing('alice', 2);
  expect(await commit(conversation, 'bob', { epoch: 1 })).toMatchObject({ status: 'accepted' });
  await lose(conversation, 'alice', 1);
  const outcome = await commit(conversation, 'bob', { epoch: 2 });
  expect(outcome).toMatchObject(DEFERRED);
  const { forMs = 0 } = outcome as { forMs?: number };
  expect(forMs).toBeGreaterThan(0);
  expect(forMs).toBeLessThanOrEqual(MAX_RESERVATION_MS);
  expect(await commit(conversation, 'alice', { epoch: 2 })).toMatchObject({ status: 'accepted', epoch: 3 });
  // The reservation ends with the commit that it was for.
  expect(await commit(conversation, 'bob', { epoch: 3 })).toMatchObject({ status: 'accepted', epoch: 4 });
  await checkInvariants(database().pool, conversation);
});

test('nobody is refused for a reservation: who has waited once is decided like any other', async () => {
  const conversation = await losing('alice', 3);
  expect(await commit(conversation, 'bob', { epoch: 1 })).toMatchObject(DEFERRED);
  expect(await commit(conversation, 'bob', { epoch: 1, deferred: true })).toMatchObject({ status: 'accepted' });
});

test('a reservation that was not used passes by itself', async () => {
  const conversation = await losing('alice', 3);
  await age(conversation, 'alice', 1);
  expect(await commit(conversation, 'bob', { epoch: 1 })).toMatchObject({ status: 'accepted' });
});

test('a commit that removes the holder does not wait', async () => {
  const conversation = await losing('bob', 3);
  expect(await commit(conversation, 'alice', { epoch: 1 })).toMatchObject(DEFERRED);
  expect(await commit(conversation, 'alice', { epoch: 1, removes: ['carol'] })).toMatchObject(DEFERRED);
  expect(await commit(conversation, 'alice', { epoch: 1, removes: ['bob'] })).toMatchObject({ status: 'accepted' });
});

test('a user has at most one reservation in a minute', async () => {
  const conversation = await losing('alice', 3);
  await age(conversation, 'alice', 1);
  await lose(conversation, 'alice', 6);
  expect(await commit(conversation, 'bob', { epoch: 1 })).toMatchObject({ status: 'accepted' });
  await age(conversation, 'alice', 60);
  await lose(conversation, 'alice', 3);
  expect(await commit(conversation, 'bob', { epoch: 2 })).toMatchObject(DEFERRED);
});

test('there is one reservation at a time, and losses that are long past do not count', async () => {
  const conversation = await losing('alice', 3);
  await lose(conversation, 'bob', 3);
  // Bob lost as often, and still waits for Alice.
  expect(await commit(conversation, 'bob', { epoch: 1 })).toMatchObject(DEFERRED);
  expect(await commit(conversation, 'alice', { epoch: 1 })).toMatchObject({ status: 'accepted' });

  const other = await losing('alice', 2);
  await age(other, 'alice', 11);
  await lose(other, 'alice', 1);
  expect(await commit(other, 'bob', { epoch: 1 })).toMatchObject({ status: 'accepted' });
});

test('a deferred commit finds its staged bytes again', async () => {
  const conversation = await losing('alice', 3);
  const [operation] = inline([{ kind: 'commit', id: 'staged', actor: 'bob', body: 'bytes', epoch: 1 }]).operations;
  const request = { adds: [], removes: [] };
  const row = { conversation, user: 'bob', epoch: 1, ciphertext: Buffer.from('bytes'), request };
  const [body] = await stage(database().pool, [row]);
  if (operation?.kind !== 'commit' || typeof body !== 'number') throw new Error('nothing was staged');
  const { id, kind, size, sha256 = '' } = operation;
  const reference = { id, kind, size, sha256, body };
  const outcomeOf = async (more: { deferred?: true }): Promise<Outcome | undefined> =>
    (await decide(database().pool, conversation, [{ ...reference, ...more }])).outcomes[0];
  expect(await outcomeOf({})).toMatchObject(DEFERRED);
  expect(await outcomeOf({ deferred: true })).toMatchObject({ status: 'accepted', epoch: 2 });
  expect((await database().pool.query('select from staged')).rowCount).toBe(0);
});
