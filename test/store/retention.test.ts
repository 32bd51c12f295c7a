import type pg from 'pg';
import { expect, test } from 'vitest';
import type { ConversationFacts } from '../../domain/operation.ts';
import { createConversation, viewConversation } from '../../store/conversations.ts';
import { readPage } from '../../store/entries.ts';
import { expireBodies, listDue, purgeDeleted, sweep } from '../../store/retention.ts';
import { makePolicy } from '../../domain/policy.ts';
import { useDatabase } from '../support/database.ts';
import { checkInvariants } from '../support/invariants.ts';
import { type Request, send, sendOne, sha256, startConversation } from '../support/requests.ts';

const database = useDatabase();
const DAY_MS = 86_400_000;

function messages(from: number, to: number): Request[] {
  return Array.from({ length: to - from + 1 }, (_, i) => {
    return { kind: 'message', id: `m${from + i}`, actor: 'alice', body: `text ${from + i}`, epoch: 0 };
  });
}

/** Moves the log into the past, as if time had gone by. */
async function age(conversation: string, upTo: number, days: number): Promise<void> {
  await database().pool.query(
    `update entry e set at = e.at - make_interval(days => $3) from conversation c
     where c.key = e.conversation and c.id = $1 and e.seq <= $2`,
    [conversation, upTo, days],
  );
}

async function facts(conversation: string): Promise<ConversationFacts> {
  return (await send(database().pool, conversation, [])).facts;
}

test('bodies past their age are taken, and seq, counts and unread stay (invariants 1 and 7)', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { policy: { retentionDays: 7 } });
  await send(pool, conversation, messages(1, 9));
  await sendOne(pool, conversation, { kind: 'commit', id: 'c', actor: 'alice', body: 'commit', epoch: 0 });
  await send(pool, conversation, messages(11, 12));
  await age(conversation, 10, 8);
  const now = Date.now();
  // In steps; due again at once while something is left.
  expect(await expireBodies(pool, conversation, now, 4)).toBeLessThanOrEqual(now);
  expect(await expireBodies(pool, conversation, now, 4)).toBeLessThanOrEqual(now);
  const due = await expireBodies(pool, conversation, now, 4);
  expect(due).toBeGreaterThan(now + 6 * DAY_MS);
  expect(await facts(conversation)).toMatchObject({ lastSeq: 12, dueAt: due });

  const page = await readPage(pool, conversation, 'bob', 0, 100);
  expect(page?.entries.map(({ seq, ciphertext }) => [seq, ciphertext === null])).toEqual(
    Array.from({ length: 12 }, (_, i) => [i + 1, i < 9]),
  );
  expect(await viewConversation(pool, conversation, 'bob')).toMatchObject({ unread: 11 });
  expect(await sendOne(pool, conversation, { kind: 'read', id: 'r', actor: 'bob', seq: 3 })).toMatchObject({
    unread: 8,
  });
  await checkInvariants(pool, conversation);

  const [again] = messages(2, 2);
  expect(again && (await sendOne(pool, conversation, again))).toEqual({ status: 'duplicate', seq: 2, epoch: 0 });
  expect(await send(pool, conversation, messages(13, 13))).toMatchObject({
    outcomes: [{ status: 'accepted', seq: 13 }],
  });
});

test('the timer is due with the oldest body, from the first message on, and after a change of policy', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { policy: { retentionDays: 1 } });
  expect(await facts(conversation)).not.toHaveProperty('dueAt');
  await send(pool, conversation, messages(1, 1));
  const { dueAt } = await facts(conversation);
  await send(pool, conversation, messages(2, 20));
  expect((await facts(conversation)).dueAt).toBe(dueAt);
  expect(await listDue(pool, Number(dueAt) - DAY_MS / 2, 100)).not.toContain(conversation);
  expect(await listDue(pool, Number(dueAt) + 1, 100)).toContain(conversation);

  await sendOne(pool, conversation, {
    kind: 'policy',
    id: 'p',
    actor: 'alice',
    policy: { retentionDays: null as never },
  });
  expect(await facts(conversation)).not.toHaveProperty('dueAt');
  expect(await expireBodies(pool, conversation, Date.now() + 99 * DAY_MS, 100)).toBeUndefined();
  await sendOne(pool, conversation, { kind: 'policy', id: 'q', actor: 'alice', policy: { retentionDays: 2 } });
  expect((await facts(conversation)).dueAt).toBeLessThan(Number(dueAt));
  expect(await expireBodies(pool, conversation, Date.now(), 100)).toBeGreaterThan(Number(dueAt));
});

test('a step looks at no more entries than its limit, however many are still young', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { policy: { retentionDays: 1 } });
  for (let i = 0; i < 8; i++) await send(pool, conversation, messages(i * 250 + 1, i * 250 + 250));
  const client = await pool.connect();
  try {
    const fetched = async (): Promise<number> => {
      const { rows } = await client.query<{ n: number }>(
        `select (coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0))::int as n from pg_stat_xact_user_tables
         where relname = 'entry' and schemaname = 'parley'`,
      );
      return rows[0]?.n ?? 0;
    };
    await client.query('begin');
    const before = await fetched();
    await client.query('select expire_bodies($1, $2, 10)', [conversation, new Date()]);
    expect((await fetched()) - before).toBeLessThan(25);
    await client.query('rollback');
  } finally {
    client.release();
  }
});

test('what a deleted conversation holds is purged in pieces; its tombstone keeps its id for ever', async () => {
  const { pool } = database();
  const id = await startConversation(pool);
  await send(pool, id, messages(1, 25));
  await sendOne(pool, id, {
    kind: 'commit',
    id: 'c',
    actor: 'alice',
    body: 'c',
    epoch: 0,
    adds: ['dave'],
    welcome: 'w',
    groupInfo: 'g',
  });
  expect(await purgeDeleted(pool, id, 10), 'not while it lives').toBe(true);
  expect(await facts(id)).toMatchObject({ lastSeq: 26 });

  await sendOne(pool, id, { kind: 'delete', id: 'd', actor: 'alice' });
  expect(await listDue(pool, Date.now() + 1000, 1000)).toContain(id);
  const steps: boolean[] = [];
  while (steps.at(-1) !== true) steps.push(await purgeDeleted(pool, id, 10));
  expect(steps).toEqual([false, false, true]);
  for (const table of ['entry', 'member', 'period', 'welcome', 'group_info', 'staged']) {
    const { rowCount } = await pool.query(
      `select from ${table} t join conversation c on c.key = t.conversation where c.id = $1`,
      [id],
    );
    expect(rowCount, table).toBe(0);
  }
  expect(await listDue(pool, Date.now() + 1000, 1000)).not.toContain(id);
  expect(await sendOne(pool, id, { kind: 'delete', id: 'd', actor: 'alice' })).toEqual({ status: 'duplicate' });
  expect(await summarizeConversation(pool, id)).toBeUndefined();
  const create = { id, protocol: 'mls', epoch: 0, creator: 'alice', members: [], fingerprint: sha256(id) } as const;
  const policy = makePolicy({}, { epochWindow: 2 });
  expect(await createConversation(pool, { ...create, policy })).toBe('conversation-exists');
});

test('a creation is answered again for the same creator and content, and tells others nothing', async () => {
  const { pool } = database();
  const policy = makePolicy({}, { epochWindow: 2 });
  const create = { id: 'same-id', protocol: 'mls', epoch: 3, members: ['bob', 'alice'], policy } as const;
  const outcomes = await Promise.all(
    Array.from({ length: 5 }, () =>
      createConversation(pool, { ...create, creator: 'alice', fingerprint: sha256('a') }),
    ),
  );
  expect(outcomes.sort()).toEqual(['created', 'duplicate', 'duplicate', 'duplicate', 'duplicate']);
  expect(await createConversation(pool, { ...create, creator: 'alice', fingerprint: sha256('b') })).toBe(
    'conversation-exists',
  );
  expect(await createConversation(pool, { ...create, creator: 'bob', fingerprint: sha256('a') })).toBe(
    'conversation-exists',
  );
  expect(await summarizeConversation(pool, 'same-id')).toMatchObject({ epoch: 3, lastSeq: 0, memberCount: 2 });
  await checkInvariants(pool, 'same-id');
});

test('the sweep forgets old answers and keys, and leaves young ones', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  await send(pool, conversation, [
    { kind: 'read', id: 'old', actor: 'alice' },
    { kind: 'read', id: 'young', actor: 'alice' },
  ]);
  await pool.query(`update operation set at = at - interval '2 days' where id = 'old'`);
  await pool.query(
    `insert into idempotency (scope, request, lease_until, at) values ('\\x01', '', now(), now() - interval '2 days'),
     ('\\x02', '', now(), now())`,
  );
  const swept = await sweep(pool, { stagedMs: DAY_MS, operationsMs: DAY_MS, idempotencyMs: DAY_MS });
  expect(swept).toEqual({ staged: 0, operations: 1, idempotency: 1, keyPackages: 0, welcomes: 0 });
  expect((await pool.query(`select from operation where id = 'young'`)).rowCount).toBe(1);
});

/** Facts of a conversation without regard to a user, for operators and the creator's answer. */
interface ConversationSummary {
  readonly id: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly lastSeq: number;
  readonly memberCount: number;
  readonly createdAt: Date;
  readonly dueAt: Date | null;
}

async function summarizeConversation(pool: pg.Pool, id: string): Promise<ConversationSummary | undefined> {
  const { rows } = await pool.query<ConversationSummary>({
    name: 'summarize-conversation',
    text: `select id, protocol, epoch, last_seq as "lastSeq", member_count as "memberCount",
        created_at as "createdAt", due_at as "dueAt"
      from conversation where id = $1 and deleted_at is null`,
    values: [id],
  });
  return rows[0];
}
