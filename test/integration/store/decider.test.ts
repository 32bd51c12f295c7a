import fc from 'fast-check';
import type pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import type { Decision } from '../../../domain/decision.ts';
import { makePolicy } from '../../../domain/policy.ts';
import { decide } from '../../../store/decision/decide.ts';
import { type DecisionRequest, decideMany, tryDecide } from '../../../store/decision/statements.ts';
import { shareOut } from '../../../store/pool-share.ts';
import { isRetryable } from '../../../store/sqlstate.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useDatabase } from '../../harness/database.ts';
import { leaveNoGaps } from '../../harness/fairness.ts';
import { Model } from '../../harness/model.ts';
import { PROPERTY_TIMEOUT_MS, USERS, anyStep, makeRequests, propertyOptions } from '../../harness/random-requests.ts';
import { type Request, inline, send, startConversation } from '../../harness/requests.ts';
import { holdRows } from '../../harness/row-locks.ts';

/** One call for many conversations decides as calls for each would (invariants 1 to 4 and 6). */
const database = useDatabase();
beforeAll(() => leaveNoGaps(database().pool));
const MEMBERS = USERS.slice(0, 3);

const OWN = ['at', 'dueAt', 'chain'];

/** Decisions without what differs between twins: times that the database chose, and the chain, which begins with the id. */
function withoutOwn(decisions: unknown): unknown {
  return JSON.parse(JSON.stringify(decisions), (key, value: unknown) => (OWN.includes(key) ? undefined : value));
}

function request(conversation: string, requests: readonly Request[]): DecisionRequest {
  return { conversation, ...inline(requests) };
}

test(
  'a call for many conversations answers as calls for each, whatever they ask, also where one is locked, deleted or not there',
  async () => {
    const { pool, url } = database();
    const conversation = fc.record({
      steps: fc.array(anyStep, { maxLength: 10 }),
      state: fc.constantFrom('open', 'open', 'open', 'locked', 'deleted', 'missing'),
    });
    const property = fc.asyncProperty(fc.array(conversation, { minLength: 1, maxLength: 8 }), async (plans) => {
      await pool.query('delete from welcome');
      const twins = await Promise.all(
        plans.map(async ({ state }) => {
          if (state === 'missing') return ['no-such', 'no-such'] as const;
          const ids = [await startConversation(pool), await startConversation(pool)] as const;
          for (const id of ids) {
            if (state === 'deleted') await send(pool, id, [{ kind: 'delete', id: 'deletion', actor: 'alice' }]);
          }
          return ids;
        }),
      );
      const asked = plans.map(({ steps }, i): Request[] => {
        const model = new Model({
          protocol: 'mls',
          creator: 'alice',
          members: MEMBERS,
          policy: makePolicy({ groupInfo: 'optional' }, { epochWindow: 2 }),
        });
        const toRequest = makeRequests();
        return [
          // The answer of an earlier call, and of one of this call.
          ...(i % 2 === 0 ? [{ kind: 'delete', id: 'deletion', actor: 'carol' } as const] : []),
          ...steps.map((step) => {
            const one = toRequest(step, model);
            model.apply(one, Date.now());
            return one;
          }),
        ];
      });
      const side = (n: 0 | 1): DecisionRequest[] => asked.map((requests, i) => request(twins[i]?.[n] ?? '', requests));
      const release = await holdRows(
        url,
        twins.filter((_, i) => plans[i]?.state === 'locked').flatMap((ids) => [...ids]),
      );
      try {
        const together = await decideMany(pool, side(0));
        await pool.query('delete from welcome');
        const singly = [];
        for (const one of side(1)) singly.push(await tryDecide(pool, one));
        expect(withoutOwn(together)).toEqual(withoutOwn(singly));
        plans.forEach(({ state }, i) => expect(together[i] === null).toBe(state === 'locked'));
      } finally {
        await release();
      }
      for (const [i, [id]] of twins.entries()) if (plans[i]?.state === 'open') await checkInvariants(pool, id);
    });
    await fc.assert(property, propertyOptions(15));
  },
  PROPERTY_TIMEOUT_MS,
);

const text = (id: string, more: Partial<Extract<Request, { kind: 'message' }>> = {}): Request => ({
  kind: 'message',
  id,
  actor: 'alice',
  body: `text of ${id}`,
  epoch: 0,
  ...more,
});

function starts(count: number): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, () => startConversation(database().pool)));
}

test('callers with overlapping conversations in any order end in no deadlock, and every message is accepted once', async () => {
  const { pool } = database();
  const conversations = await starts(12);
  const orders = [conversations, conversations.toReversed(), [...conversations.slice(6), ...conversations.slice(0, 6)]];
  const rounds = Array.from({ length: 10 }, (_, i) => i);
  const statuses: unknown[] = [];
  // Each with a decider of its own, as processes have.
  const callers = orders.flatMap((order) => [order, order]).map((order, n) => ({ order, n, own: shareOut(pool) }));
  await Promise.all(
    callers.map(async ({ order, n, own }) => {
      for (const round of rounds) {
        const decisions = await Promise.all(order.map((id) => send(own, id, [text(`${n}-${round}`)])));
        statuses.push(...decisions.map(({ outcomes }) => outcomes[0]?.status));
      }
    }),
  );
  expect(statuses).toEqual(statuses.map(() => 'accepted'));
  expect(statuses).toHaveLength(callers.length * rounds.length * conversations.length);
  const { rows } = await pool.query<{ deadlocks: number }>(
    'select deadlocks from pg_stat_database where datname = current_database()',
  );
  expect(rows[0]?.deadlocks).toBe(0);
  for (const id of conversations) {
    const { facts } = await send(pool, id, []);
    expect(facts.lastSeq).toBe(callers.length * rounds.length);
    await checkInvariants(pool, id);
  }
});

test('calls for one conversation are decided in the order in which they came', async () => {
  const { pool } = database();
  const [id = '', other = ''] = await starts(2);
  const commit: Request = { kind: 'commit', id: 'c', actor: 'alice', body: 'commit', epoch: 0 };
  const requests = [...Array.from({ length: 20 }, (_, i) => text(`before ${i}`)), commit, text('after')];
  const decisions = await Promise.all(requests.flatMap((one) => [send(pool, id, [one]), send(pool, other, [one])]));
  const seqs = decisions.map(({ outcomes }) => outcomes.map((outcome) => 'seq' in outcome && outcome.seq));
  expect(seqs).toEqual(requests.flatMap((_, i) => [[i + 1], [i + 1]]));
});

test('an error of one conversation leaves the others of its call as they are', async () => {
  const { pool } = database();
  const conversations = await starts(6);
  const sent = conversations.map((id, i) => {
    const { operations, bytes } = inline([text('m')]);
    // No hash: the call fails in the middle.
    return decide(
      pool,
      id,
      i === 3 ? operations.map((one) => ({ ...one, sha256: 'no hex' }) as never) : operations,
      bytes,
    );
  });
  const results = await Promise.allSettled(sent);
  expect(results.map(({ status }) => status)).toEqual(
    conversations.map((_, i) => (i === 3 ? 'rejected' : 'fulfilled')),
  );
  expect(results[3]).toMatchObject({ reason: { code: '22023' } });
  for (const [i, id] of conversations.entries()) {
    expect((await send(pool, id, [])).facts.lastSeq).toBe(i === 3 ? 0 : 1);
  }
});

test('a call whose connection is cut fails as retryable for all of it, and the same requests again are decided once', async () => {
  const { pool } = database();
  const conversations = await starts(5);
  const session = await pool.connect();
  const ask = (): Promise<Decision>[] => conversations.map((id) => send(pool, id, [text('m')]));
  try {
    await session.query('begin');
    // The message waits for the row of its sender, in the middle of the call.
    await session.query(
      `select from member m join conversation c on c.key = m.conversation
       where c.id = $1 and m.user_id = 'alice' for update of m`,
      [conversations[4]],
    );
    const cut = Promise.allSettled(ask());
    await waitUntil(() => terminate(pool, 'decide_many'), { what: 'the call is cut', everyMs: 2 });
    for (const result of await cut) {
      expect(result.status).toBe('rejected');
      expect(result.status === 'rejected' && isRetryable(result.reason)).toBe(true);
    }
  } finally {
    await session.query('rollback').finally(() => session.release());
  }
  const outcomes = (await Promise.all(ask())).flatMap((decision) => decision.outcomes);
  expect(outcomes).toMatchObject(conversations.map(() => ({ status: 'accepted', seq: 1, epoch: 0 })));
});

async function terminate(pool: pg.Pool, call: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock' and query like '%' || $1 || '%'`,
    [call],
  );
  return (rowCount ?? 0) > 0;
}
