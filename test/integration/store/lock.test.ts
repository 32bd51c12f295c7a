import type pg from 'pg';
import { expect, test } from 'vitest';
import type { Decision } from '../../../domain/decision.ts';
import { useDatabase } from '../../harness/database.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { rechain } from '../../../tools/harness/rechain.ts';
import { type Request, send, sendStaged, sha256, startConversation } from '../../harness/requests.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

/**
 * The trap of the deciding transaction: a statement's snapshot is older than the lock it waited for. One connection holds
 * the conversation's lock, changes what the waiter will be judged by, and commits only once it waits.
 */
const database = useDatabase();

/** The holder lets go when the decision waits, which on a busy machine may take longer than a decision usually waits. */
const PATIENT = { patienceMs: 60_000 };

/** One operation, and a run long enough for the set-based branch. */
const branches = [
  { branch: 'one by one', count: 1 },
  { branch: 'by sets', count: 12 },
];

test.each(branches)(
  'a removal that the decision waited for refuses the message, $branch (invariant 8)',
  async ({ count }) => {
    const conversation = await startConversation(database().pool);
    const { outcomes } = await decideBehind(conversation, messages('bob', count), async (holder) => {
      await commit(holder, conversation);
      await holder.query(
        `update member m set left_seq = 1, left_epoch = 1, left_at = now() from conversation c
       where c.key = m.conversation and c.id = $1 and user_id = 'bob'`,
        [conversation],
      );
      await holder.query(
        `update period p set to_seq = 1 from conversation c where c.key = p.conversation and c.id = $1 and user_id = 'bob'`,
        [conversation],
      );
      await holder.query('update conversation set member_count = member_count - 1 where id = $1', [conversation]);
    });
    for (const outcome of outcomes) expect(outcome).toEqual({ status: 'refused', code: 'removed', seq: 1 });
    await checkInvariants(database().pool, conversation);
  },
);

test.each(branches)('an add that the decision waited for lets the new member send, $branch', async ({ count }) => {
  const conversation = await startConversation(database().pool);
  const { outcomes } = await decideBehind(conversation, messages('dave', count), async (holder) => {
    await commit(holder, conversation);
    await holder.query(
      `insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count)
       select key, 'dave', 'member', 1, 1, 1, 0 from conversation where id = $1`,
      [conversation],
    );
    await holder.query(
      `insert into period (conversation, user_id, from_seq) select key, 'dave', 1 from conversation where id = $1`,
      [conversation],
    );
    await holder.query('update conversation set member_count = member_count + 1 where id = $1', [conversation]);
  });
  expect(outcomes).toMatchObject(
    Array.from({ length: count }, (_, i) => ({ status: 'accepted', seq: i + 2, epoch: 0 })),
  );
  await checkInvariants(database().pool, conversation);
});

test.each(branches)(
  'a message that the decision waited for is answered as a duplicate, $branch (invariant 3)',
  async ({ count }) => {
    const conversation = await startConversation(database().pool);
    const { outcomes, facts } = await decideBehind(conversation, messages('bob', count), async (holder) => {
      await holder.query(
        `insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, app_count, at)
       select key, 1, 'application', 0, 'm0', $2, 'text 0', 1, clock_timestamp() from conversation where id = $1`,
        [conversation, sha256('text 0')],
      );
      await holder.query(
        'update conversation set last_seq = 1, app_count = 1, last_at = clock_timestamp() where id = $1',
        [conversation],
      );
      await rechain(holder, conversation);
    });
    expect(outcomes[0]).toMatchObject({ status: 'duplicate', seq: 1, epoch: 0 });
    expect(outcomes.slice(1)).toMatchObject(
      outcomes.slice(1).map((_, i) => ({ status: 'accepted', seq: i + 2, epoch: 0 })),
    );
    expect(facts.lastSeq).toBe(count);
    await checkInvariants(database().pool, conversation);
  },
);

test.each(branches)(
  'the epoch window is that of the state after the wait, $branch (invariant 4)',
  async ({ count }) => {
    const conversation = await startConversation(database().pool, { policy: { epochWindow: 0 } });
    const { outcomes } = await decideBehind(conversation, messages('bob', count), (holder) =>
      commit(holder, conversation),
    );
    for (const outcome of outcomes) {
      expect(outcome).toEqual({ status: 'refused', code: 'epoch-too-old', currentEpoch: 1, submittedEpoch: 0 });
    }
    const ahead = messages('bob', count).map((request) => ({ ...request, id: `ahead ${request.id}`, epoch: 2 }));
    const decision = await decideBehind(conversation, ahead, (holder) => commit(holder, conversation, 1));
    expect(decision.outcomes).toMatchObject(ahead.map((_, i) => ({ status: 'accepted', seq: i + 3, epoch: 2 })));
    await checkInvariants(database().pool, conversation);
  },
);

test('a commit that waited for another one of its epoch loses, and hears the winner (invariant 2)', async () => {
  const conversation = await startConversation(database().pool);
  const request: Request = { kind: 'commit', id: 'late', actor: 'bob', body: 'late commit', epoch: 0, adds: ['dave'] };
  const { outcomes } = await decideBehind(conversation, [request], (holder) => commit(holder, conversation));
  expect(outcomes).toEqual([
    {
      status: 'refused',
      code: 'epoch-conflict',
      currentEpoch: 1,
      submittedEpoch: 0,
      after: 0,
      winner: { seq: 1, sha256: sha256('commit 0').toString('hex') },
    },
  ]);
  await checkInvariants(database().pool, conversation);
});

test('staged bytes that a sweep took while the decision waited are missed, not stored empty (invariant 3)', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  for (const { count } of branches) {
    const decision = await decideBehind(
      conversation,
      messages('bob', count),
      (holder) => holder.query('delete from staged'),
      async (requests) => (await sendStaged(pool, conversation, requests, PATIENT)).decision,
    );
    expect(decision.outcomes.map((outcome) => outcome.status === 'refused' && outcome.code)).toEqual(
      Array.from({ length: count }, () => 'body-missing'),
    );
  }
  await checkInvariants(pool, conversation);
});

function messages(actor: string, count: number): Extract<Request, { kind: 'message' }>[] {
  return Array.from({ length: count }, (_, i) => ({
    kind: 'message',
    id: `m${i}`,
    actor,
    body: `text ${i}`,
    epoch: 0,
  }));
}

/** Holds the conversation's lock until the decision waits for it, changes things, and only then lets go. */
async function decideBehind(
  conversation: string,
  requests: readonly Request[],
  change: (holder: pg.PoolClient) => Promise<unknown>,
  decide = (batch: readonly Request[]): Promise<Decision> => send(database().pool, conversation, batch, PATIENT),
): Promise<Decision> {
  const { pool } = database();
  const holder = await pool.connect();
  try {
    await holder.query('begin');
    await holder.query('select from conversation where id = $1 for no key update', [conversation]);
    const decision = decide(requests);
    await waitUntil(async () => (await waiting(pool)) === 1, { what: 'the decision waits for the lock', everyMs: 5 });
    await change(holder);
    await holder.query('commit');
    return await decision;
  } finally {
    await holder.query('rollback').finally(() => holder.release());
  }
}

async function waiting(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(
    `select count(*)::int as n from pg_stat_activity where datname = current_database()
       and wait_event_type = 'Lock' and query like '%decide_waiting(%'`,
  );
  return rows[0]?.n ?? 0;
}

/** What the deciding transaction writes for a commit without membership changes. */
async function commit(holder: pg.PoolClient, conversation: string, epoch = 0): Promise<void> {
  const { rows } = await holder.query<{ seq: number }>(
    `insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at)
     select key, last_seq + 1, 'commit', epoch, 'c' || epoch, $2, 'commit', 'alice', app_count, clock_timestamp()
     from conversation where id = $1 returning seq`,
    [conversation, sha256(`commit ${epoch}`)],
  );
  await holder.query(
    `update conversation set epoch = epoch + 1, last_seq = $2, last_commit_seq = $2, last_at = clock_timestamp()
     where id = $1`,
    [conversation, rows[0]?.seq],
  );
  await rechain(holder, conversation);
}
