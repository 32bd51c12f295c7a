import { beforeEach, expect, test } from 'vitest';
import { MAX_RESERVATION_MS } from '../../../domain/limits.ts';
import type { Outcome } from '../../../domain/outcome.ts';
import { decide } from '../../../store/decision/decide.ts';
import { stage } from '../../../store/staging/stage.ts';
import { useDatabase } from '../../harness/database.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { inline, sha256, startConversation } from '../../harness/requests.ts';

const database = useDatabase();
beforeEach(() => database().pool.query('delete from race'));

interface Attempt {
  readonly epoch: number;
  readonly removes?: readonly string[];
  readonly deferred?: true;
}

let made = 0;

/** Sends a commit as the conversation queue does. Only a commit that has waited carries `deferred`. */
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

/** Makes an opaque conversation beyond epoch 0 in which a user has lost `times` commits. */
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

/** Moves the lost commits and the reservation of one user into the past. */
async function age(conversation: string, user: string, seconds: number): Promise<void> {
  await database().pool.query(
    `update race r set lost_at = lost_at - $3 * interval '1 s', granted_at = granted_at - $3 * interval '1 s',
       reserved_until = reserved_until - $3 * interval '1 s'
     from conversation c where c.key = r.conversation and c.id = $1 and r.user_id = $2`,
    [conversation, user, seconds],
  );
}

const DEFERRED = { status: 'refused', code: 'deferred' };

test('three lost commits make a reservation and two do not: others wait at most 300 ms, the loser does not wait', async () => {
  const conversation = await losing('alice', 2);
  expect(await commit(conversation, 'bob', { epoch: 1 })).toMatchObject({ status: 'accepted' });
  await lose(conversation, 'alice', 1);
  const outcome = await commit(conversation, 'bob', { epoch: 2 });
  expect(outcome).toMatchObject(DEFERRED);
  const { forMs = 0 } = outcome as { forMs?: number };
  expect(forMs).toBeGreaterThan(0);
  expect(forMs).toBeLessThanOrEqual(MAX_RESERVATION_MS);
  expect(await commit(conversation, 'alice', { epoch: 2 })).toMatchObject({ status: 'accepted', epoch: 3 });
  // The reservation ends with the commit of its holder.
  expect(await commit(conversation, 'bob', { epoch: 3 })).toMatchObject({ status: 'accepted', epoch: 4 });
  await checkInvariants(database().pool, conversation);
});

test('a reservation refuses nobody: a commit that has waited once is decided like any other', async () => {
  const conversation = await losing('alice', 3);
  expect(await commit(conversation, 'bob', { epoch: 1 })).toMatchObject(DEFERRED);
  expect(await commit(conversation, 'bob', { epoch: 1, deferred: true })).toMatchObject({ status: 'accepted' });
});

test('an unused reservation ends by itself', async () => {
  const conversation = await losing('alice', 3);
  await age(conversation, 'alice', 1);
  expect(await commit(conversation, 'bob', { epoch: 1 })).toMatchObject({ status: 'accepted' });
});

test('a commit that removes the holder of a reservation does not wait', async () => {
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

test('there is one reservation at a time, and old lost commits do not count', async () => {
  const conversation = await losing('alice', 3);
  await lose(conversation, 'bob', 3);
  // Bob lost as often, but waits for Alice's reservation.
  expect(await commit(conversation, 'bob', { epoch: 1 })).toMatchObject(DEFERRED);
  expect(await commit(conversation, 'alice', { epoch: 1 })).toMatchObject({ status: 'accepted' });

  const other = await losing('alice', 2);
  await age(other, 'alice', 11);
  await lose(other, 'alice', 1);
  expect(await commit(other, 'bob', { epoch: 1 })).toMatchObject({ status: 'accepted' });
});

test('a commit that waited for a reservation finds its staged bytes again', async () => {
  const conversation = await losing('alice', 3);
  const [operation] = inline([{ kind: 'commit', id: 'staged', actor: 'bob', body: 'bytes', epoch: 1 }]).operations;
  const request = { adds: [], removes: [] };
  const row = { conversation, user: 'bob', epoch: 1, ciphertext: Buffer.from('bytes'), request };
  const [body] = await stage(database().pool, [row]);
  if (operation?.kind !== 'commit' || typeof body !== 'number') throw new Error('nothing was staged');
  const reference = { id: operation.id, kind: operation.kind, size: 5, sha256: sha256('bytes').toString('hex'), body };
  const outcomeOf = async (more: { deferred?: true }): Promise<Outcome | undefined> =>
    (await decide(database().pool, conversation, [{ ...reference, ...more }])).outcomes[0];
  expect(await outcomeOf({})).toMatchObject(DEFERRED);
  expect(await outcomeOf({ deferred: true })).toMatchObject({ status: 'accepted', epoch: 2 });
  expect((await database().pool.query('select from staged')).rowCount).toBe(0);
});
