import fc from 'fast-check';
import type pg from 'pg';
import { expect, test } from 'vitest';
import type { Outcome } from '../../../domain/outcome.ts';
import { makePolicy } from '../../../domain/policy.ts';
import { decide } from '../../../store/decision/decide.ts';
import { useDatabase } from '../../harness/database.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { Model } from '../../harness/model.ts';
import {
  PROPERTY_TIMEOUT_MS,
  USERS,
  anyStep,
  makeRequests,
  message,
  propertyOptions,
} from '../../harness/random-requests.ts';
import { type Request, inline, send, sendStaged, startConversation } from '../../harness/requests.ts';

const database = useDatabase();
const MEMBERS = USERS.slice(0, 4);

test(
  'a batch is decided by sets exactly as one by one: outcomes and tables',
  async () => {
    const { pool } = database();
    const property = fc.asyncProperty(
      fc.constantFrom('mls' as const, 'opaque' as const),
      fc.boolean(),
      fc.array(anyStep, { maxLength: 20 }),
      fc.array(message, { minLength: 8, maxLength: 40 }),
      fc.array(anyStep, { maxLength: 5 }),
      async (protocol, staged, before, run, after) => {
        const [asBatch, oneByOne] = [
          await startConversation(pool, { protocol, members: MEMBERS }),
          await startConversation(pool, { protocol, members: MEMBERS }),
        ];
        const policy = makePolicy({ groupInfo: 'optional' }, { epochWindow: 2 });
        const model = new Model({ protocol, creator: 'alice', members: MEMBERS, policy });
        const toRequest = makeRequests();
        const requests = [...before, ...run, ...after].map((step) => {
          const request = toRequest(step, model);
          model.apply(request, Date.now());
          return request;
        });
        const early = requests.slice(0, before.length);
        const late = requests.slice(before.length);
        const batchOutcomes = [
          ...(await send(pool, asBatch, early)).outcomes,
          ...(staged ? (await sendStaged(pool, asBatch, late)).decision : await send(pool, asBatch, late)).outcomes,
        ];
        const singleOutcomes: Outcome[] = [];
        for (const request of requests) singleOutcomes.push(...(await send(pool, oneByOne, [request])).outcomes);

        expect(batchOutcomes.map(withoutOwn)).toEqual(singleOutcomes.map(withoutOwn));
        expect(await tables(pool, asBatch)).toEqual(await tables(pool, oneByOne));
        await checkInvariants(pool, asBatch);
      },
    );
    await fc.assert(property, propertyOptions(100));
  },
  PROPERTY_TIMEOUT_MS,
);

test('a run of 256 messages is decided by one statement, in order, with dense seq (invariant 1)', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const requests = Array.from({ length: 256 }, (_, i) => fromMember(i));
  const { outcomes, facts } = await send(pool, conversation, requests);
  expect(outcomes).toMatchObject(requests.map((_, i) => ({ status: 'accepted', seq: i + 1, epoch: 0 })));
  expect(facts).toMatchObject({ lastSeq: 256 });
  expect(await insertStatements(pool, conversation)).toBe(1);
  await checkInvariants(pool, conversation);
});

test('an id that stands twice in a run stores one entry, and both senders hear of it (invariant 3)', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { protocol: 'opaque' });
  const requests = Array.from({ length: 12 }, (_, i) => fromMember(i));
  requests[7] = fromMember(3);
  requests[9] = { kind: 'message', id: 'm4', actor: 'bob', body: 'other bytes', epoch: 0 };
  const { outcomes } = await send(pool, conversation, requests);
  expect(outcomes[7]).toMatchObject({ status: 'duplicate', seq: 4, epoch: 0 });
  expect(outcomes[9]).toEqual({ status: 'refused', code: 'id-reused' });
  expect(outcomes[11]).toMatchObject({ status: 'accepted', seq: 10, epoch: 0 });
  await checkInvariants(pool, conversation);
});

test('a run between other operations sees what those before it did, and those after it see the run', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  const run = Array.from({ length: 10 }, (_, i) => fromMember(i));
  const { outcomes } = await send(pool, conversation, [
    { kind: 'commit', id: 'c', actor: 'alice', body: 'commit', epoch: 0, removes: ['bob'] },
    ...run,
    { kind: 'read', id: 'r', actor: 'alice', seq: 4 },
  ]);
  const expected = run.map((request) =>
    request.actor === 'bob' ? { status: 'refused', code: 'removed', seq: 1 } : { status: 'accepted' },
  );
  expect(outcomes.slice(1, 11)).toMatchObject(expected);
  // Alice's last message is the last of all, and a read position never goes back.
  expect(outcomes[11]).toEqual({ status: 'accepted', unread: 0 });
  await checkInvariants(pool, conversation);
});

test('bytes that are missing are refused one by one and by sets, and nothing is stored without them', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  for (const count of [1, 10]) {
    const { operations } = inline(Array.from({ length: count }, (_, i) => fromMember(i)));
    const bare = operations.map(
      ({ bytes: _, ...operation }: object & { bytes?: unknown }) => operation,
    ) as typeof operations;
    const { outcomes, facts } = await decide(pool, conversation, bare);
    expect(outcomes).toEqual(bare.map(() => ({ status: 'refused', code: 'body-missing' })));
    expect(facts.lastSeq).toBe(0);
  }
});

function fromMember(i: number): Extract<Request, { kind: 'message' }> {
  return { kind: 'message', id: `m${i}`, actor: ['alice', 'bob', 'carol'][i % 3] ?? '', body: `text ${i}`, epoch: 0 };
}

/** Entries of one inserting statement have the same time and command. */
async function insertStatements(pool: pg.Pool, conversation: string): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(
    `select count(distinct (e.xmin::text, e.cmin::text))::int as n from entry e join conversation c on c.key = e.conversation
     where c.id = $1`,
    [conversation],
  );
  return rows[0]?.n ?? 0;
}

/** All rows of a conversation, without keys and times. */
async function tables(pool: pg.Pool, conversation: string): Promise<Record<string, unknown>> {
  const read = async (table: string, order: string): Promise<unknown[]> => {
    const { rows } = await pool.query<{ row: Record<string, unknown> }>(
      `select to_jsonb(t) as row from ${table} t join conversation c on c.key = t.conversation where c.id = $1
       order by ${order}`,
      [conversation],
    );
    return rows.map(
      ({
        row: {
          conversation: _,
          at: __,
          left_at: ___,
          id: ____,
          expires_at: _____,
          proven_at: proven,
          version: ______,
          chain: _______,
          answer,
          ...row
        },
      }) => ({
        ...row,
        answer,
        isProven: proven !== null,
      }),
    );
  };
  const { rows } = await pool.query<Record<string, unknown>>(
    `select epoch, last_seq, app_count, increments, member_count, policy, last_commit_seq
     from conversation where id = $1`,
    [conversation],
  );
  return {
    conversation: rows[0],
    entries: await read('entry', 't.seq'),
    members: await read('member', 't.user_id'),
    periods: await read('period', 't.user_id, t.from_seq'),
    operations: await read('operation', 't.id'),
    welcomes: await read('welcome', 't.user_id'),
    groupInfo: await read('group_info', 't.epoch'),
    staged: await read('staged', 't.key'),
  };
}

const OWN = ['at', 'chain'];

/** Without what differs between two conversations: the time, and the chain, which begins with the id. */
function withoutOwn(outcome: Outcome): Outcome {
  return JSON.parse(
    JSON.stringify(outcome, (key, value: unknown) => (OWN.includes(key) ? undefined : value)),
  ) as Outcome;
}
