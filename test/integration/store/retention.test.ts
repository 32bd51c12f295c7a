import type pg from 'pg';
import { beforeEach, expect, test } from 'vitest';
import type { ConversationFacts } from '../../../domain/decision.ts';
import { makePolicy } from '../../../domain/policy.ts';
import { createConversation, viewConversation } from '../../../store/conversation/conversations.ts';
import { readPage } from '../../../store/log/entries.ts';
import { listDue, purgeDeleted, retain } from '../../../store/retention/retention.ts';
import { acknowledgeWelcome, listWelcomes } from '../../../store/welcome/welcomes.ts';
import { useDatabase } from '../../harness/database.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { type Request, send, sendOne, sha256, startConversation } from '../../harness/requests.ts';

const database = useDatabase();
const DAY_MS = 86_400_000;

// Devices are of users, who are the same in every test.
beforeEach(() => database().pool.query('truncate device, device_position'));

function messages(from: number, to: number): Request[] {
  return Array.from({ length: to - from + 1 }, (_, i) => {
    return { kind: 'message', id: `m${from + i}`, actor: 'alice', body: `text ${from + i}`, epoch: 0 };
  });
}

function commit(id: string, epoch: number, more: Partial<Extract<Request, { kind: 'commit' }>> = {}): Request {
  return { kind: 'commit', id, actor: 'alice', body: `commit ${id}`, epoch, ...more };
}

/** Moves the log into the past, as if time had gone by. */
async function age(conversation: string, upTo: number, days: number): Promise<void> {
  await database().pool.query(
    `update entry e set at = e.at - make_interval(days => $3) from conversation c
     where c.key = e.conversation and c.id = $1 and e.seq <= $2`,
    [conversation, upTo, days],
  );
}

/** A device of a user that was last seen so many days ago; with `seq`, it has acknowledged so far. */
async function device(user: string, name: string, conversation?: string, seq?: number, seenDays = 0): Promise<void> {
  const { pool } = database();
  await pool.query(
    `insert into device (user_id, device_id, seen_at) values ($1, $2, now() - make_interval(days => $3))
     on conflict (user_id, device_id) do update set seen_at = excluded.seen_at`,
    [user, name, seenDays],
  );
  if (seq === undefined) return;
  await pool.query(
    `insert into device_position (user_id, device_id, conversation, seq)
     select $1, $2, key, $4 from conversation where id = $3
     on conflict (user_id, device_id, conversation) do update set seq = excluded.seq`,
    [user, name, conversation, seq],
  );
}

async function facts(conversation: string): Promise<ConversationFacts> {
  return (await send(database().pool, conversation, [])).facts;
}

/** One step of the timer. @returns when it is due again */
async function step(conversation: string, limit = 100, now = Date.now()): Promise<number | undefined> {
  await retain(database().pool, conversation, now, limit);
  return (await facts(conversation)).dueAt;
}

interface Horizon {
  readonly oldestSeq: number;
  readonly oldestCount: number;
  /** Entries that are there. */
  readonly kept: number;
}

async function horizon(conversation: string): Promise<Horizon> {
  const { rows } = await database().pool.query<Horizon>(
    `select c.oldest_seq as "oldestSeq", c.oldest_count as "oldestCount",
       (select count(*)::int from entry where conversation = c.key) as kept
     from conversation c where c.id = $1`,
    [conversation],
  );
  return rows[0] ?? expect.unreachable();
}

test('bodies past their age are taken, and count as read; seq and counts stay (invariants 1 and 7)', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { members: ['alice', 'ben'], policy: { retentionDays: 7 } });
  // Ben has read nothing yet, so that the rows stay.
  await device('ben', 'phone');
  await send(pool, conversation, [...messages(1, 9), commit('c', 0), ...messages(11, 12)]);
  await age(conversation, 10, 8);
  // In steps; due again at once while something is left.
  const now = Date.now();
  expect(await step(conversation, 4)).toBeLessThanOrEqual(Date.now() + 1);
  expect(await step(conversation, 4)).toBeLessThanOrEqual(Date.now() + 1);
  // Then once a day, to see how far Ben has come.
  expect(await step(conversation, 4)).toBeGreaterThan(now + DAY_MS - 1000);
  expect(await horizon(conversation)).toEqual({ oldestSeq: 1, oldestCount: 0, kept: 12 });

  const page = await readPage(pool, conversation, 'ben', 0, 100);
  expect(page?.entries.map(({ seq, ciphertext }) => [seq, ciphertext === null])).toEqual(
    Array.from({ length: 12 }, (_, i) => [i + 1, i < 9]),
  );
  expect(await viewConversation(pool, conversation, 'ben')).toMatchObject({ unread: 2 });
  expect(await sendOne(pool, conversation, { kind: 'read', id: 'r', actor: 'ben', seq: 3 })).toMatchObject({
    unread: 2,
  });
  await checkInvariants(pool, conversation);

  const [again] = messages(2, 2);
  expect(again && (await sendOne(pool, conversation, again))).toMatchObject({ status: 'duplicate', seq: 2, epoch: 0 });
  expect(await send(pool, conversation, messages(13, 13))).toMatchObject({
    outcomes: [{ status: 'accepted', seq: 13 }],
  });
});

test('the timer is due with the oldest entry, from the first one on, and after a change of policy', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { policy: { retentionDays: 1 } });
  expect(await facts(conversation)).not.toHaveProperty('dueAt');
  await send(pool, conversation, [commit('c', 0)]);
  const { dueAt } = await facts(conversation);
  await send(pool, conversation, messages(2, 20));
  expect((await facts(conversation)).dueAt).toBe(dueAt);
  expect(await listDue(pool, Number(dueAt) - DAY_MS / 2, 100)).not.toContain(conversation);
  expect(await listDue(pool, Number(dueAt) + 1, 100)).toContain(conversation);

  const policy = (retentionDays: number | null): Request => {
    return {
      kind: 'policy',
      id: `p${retentionDays}`,
      actor: 'alice',
      policy: { retentionDays },
    };
  };
  await sendOne(pool, conversation, policy(null));
  expect(await step(conversation, 100, Date.now() + 99 * DAY_MS)).toBeUndefined();
  expect(await horizon(conversation)).toMatchObject({ oldestSeq: 1, kept: 20 });
  await sendOne(pool, conversation, policy(2));
  expect((await facts(conversation)).dueAt).toBeLessThan(Number(dueAt));
  expect(await step(conversation)).toBeGreaterThan(Number(dueAt));
});

test('entries that nobody needs go with their age, whatever they are, and nothing else moves (invariants 1, 2 and 7)', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { policy: { retentionDays: 7 } });
  await send(pool, conversation, [...messages(1, 3), commit('c', 0), ...messages(5, 8), commit('d', 1)]);
  await sendOne(pool, conversation, { kind: 'read', id: 'r', actor: 'bob', seq: 2 });
  await sendOne(pool, conversation, { kind: 'read', id: 's', actor: 'carol', seq: 6 });
  await age(conversation, 6, 8);
  const before = await facts(conversation);
  const now = Date.now();
  expect(await step(conversation, 4)).toBeLessThanOrEqual(Date.now() + 1);
  expect(await horizon(conversation)).toEqual({ oldestSeq: 5, oldestCount: 3, kept: 5 });
  await checkInvariants(pool, conversation);
  expect(await step(conversation, 4)).toBeGreaterThan(now + 6 * DAY_MS);
  expect(await horizon(conversation)).toEqual({ oldestSeq: 7, oldestCount: 5, kept: 3 });
  await checkInvariants(pool, conversation);

  expect(await facts(conversation)).toMatchObject({ lastSeq: before.lastSeq, epoch: before.epoch });
  expect(await viewConversation(pool, conversation, 'bob')).toMatchObject({ unread: 2 });
  expect(await viewConversation(pool, conversation, 'carol')).toMatchObject({ unread: 2 });
  // A mark below the horizon counts up to it.
  expect(await sendOne(pool, conversation, { kind: 'read', id: 't', actor: 'bob', seq: 4 })).toMatchObject({
    unread: 2,
  });
  await checkInvariants(pool, conversation);

  await age(conversation, 9, 99);
  expect(await step(conversation), 'never').toBeUndefined();
  expect(await horizon(conversation)).toEqual({ oldestSeq: 10, oldestCount: 7, kept: 0 });
  await checkInvariants(pool, conversation);
  expect(await sendOne(pool, conversation, { kind: 'read', id: 'u', actor: 'carol' })).toMatchObject({ unread: 0 });
  expect(await sendOne(pool, conversation, commit('late', 0))).toMatchObject({
    code: 'epoch-conflict',
    currentEpoch: 2,
  });
  expect(
    await send(pool, conversation, [commit('e', 2), ...messages(11, 11).map((m) => ({ ...m, epoch: 3 }))]),
  ).toMatchObject({
    facts: { lastSeq: 11, epoch: 3 },
    outcomes: [
      { status: 'accepted', seq: 10 },
      { status: 'accepted', seq: 11 },
    ],
  });
  expect(await facts(conversation)).toHaveProperty('dueAt');
  await checkInvariants(pool, conversation);
});

test('the horizon waits for the slowest active device of the current members, and for no other', async () => {
  const { pool } = database();
  const members = ['alice', 'bea', 'carl', 'dora', 'emil'];
  const conversation = await startConversation(pool, { protocol: 'opaque', members, policy: { retentionDays: 7 } });
  await send(pool, conversation, messages(1, 12));
  await sendOne(pool, conversation, commit('out', 0, { removes: ['dora'] }));
  await sendOne(pool, conversation, commit('in', 1, { adds: ['fred'] }));
  await send(
    pool,
    conversation,
    messages(15, 20).map((request) => ({ ...request, epoch: 2 })),
  );
  await age(conversation, 20, 8);
  await device('alice', 'laptop', conversation, 20);
  await device('bea', 'laptop', conversation, 20);
  await device('bea', 'tablet', conversation, 5);
  // Not seen of late, a member no more, without devices: they hold nothing back.
  await device('carl', 'laptop', conversation, 2, 31);
  await device('dora', 'laptop', conversation, 3);
  // Without a position: from the joining entry on.
  await device('fred', 'laptop');
  const slowest = async (): Promise<number> => {
    await step(conversation);
    await checkInvariants(pool, conversation);
    return (await horizon(conversation)).oldestSeq;
  };
  expect(await slowest()).toBe(6);
  await device('bea', 'tablet', conversation, 9);
  expect(await slowest()).toBe(10);
  await device('bea', 'tablet', conversation, 9, 31);
  expect(await slowest()).toBe(14);
  await device('fred', 'laptop', conversation, 20);
  expect(await slowest()).toBe(21);
});

test('the horizon waits for whoever has a Welcome to take up, and tells those who left nothing of what came after', async () => {
  const { pool } = database();
  const policy = { retentionDays: 7 };
  const conversation = await startConversation(pool, { protocol: 'opaque', members: ['alice', 'bea'], policy });
  await send(pool, conversation, messages(1, 4));
  await sendOne(pool, conversation, commit('in', 0, { adds: ['carl'], removes: ['bea'], welcome: 'welcome' }));
  await send(
    pool,
    conversation,
    messages(6, 9).map((request) => ({ ...request, epoch: 1 })),
  );
  await age(conversation, 9, 8);
  await step(conversation);
  expect((await horizon(conversation)).oldestSeq).toBe(6);
  await pool.query('delete from welcome_body');
  await step(conversation);
  expect((await horizon(conversation)).oldestSeq).toBe(10);
  const page = await readPage(pool, conversation, 'bea', 0, 10);
  expect(page).toMatchObject({ entries: [], leftSeq: 5, lastSeq: 5, oldestSeq: 6, truncated: true });
});

test.each([
  ['four times retentionDays', undefined, 12],
  ['commitRetentionDays', 5, 5],
])('but it waits no longer than %s', async (_, commitRetentionDays, days) => {
  const { pool } = database();
  const conversation = await startConversation(pool, {
    members: ['alice', 'gina'],
    policy: { retentionDays: 3, commitRetentionDays },
  });
  await device('gina', 'phone');
  await send(pool, conversation, [...messages(1, 2), commit('c', 0), ...messages(4, 6)]);
  await age(conversation, 3, days - 1);
  const now = Date.now();
  const due = await step(conversation);
  expect(await horizon(conversation)).toEqual({ oldestSeq: 1, oldestCount: 0, kept: 6 });
  expect(due).toBeGreaterThan(now + DAY_MS - 60_000);
  expect(due).toBeLessThan(now + DAY_MS + 60_000);
  await age(conversation, 3, 2);
  await step(conversation);
  expect(await horizon(conversation)).toEqual({ oldestSeq: 4, oldestCount: 2, kept: 3 });
  await checkInvariants(pool, conversation);
});

test('without retentionDays nothing is ever truncated', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { policy: { commitRetentionDays: 1 } });
  await send(pool, conversation, [...messages(1, 3), commit('c', 0)]);
  await age(conversation, 4, 3650);
  expect(await step(conversation)).toBeUndefined();
  expect(await horizon(conversation)).toEqual({ oldestSeq: 1, oldestCount: 0, kept: 4 });
  expect((await readPage(pool, conversation, 'bob', 0, 9))?.entries[0]?.ciphertext).toEqual(Buffer.from('text 1'));
});

test('changes that happened before the horizon go with it', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { policy: { retentionDays: 7 } });
  const role = (id: string, role: 'admin' | 'member'): Request => ({
    kind: 'role',
    id,
    actor: 'alice',
    user: 'bob',
    role,
  });
  await send(pool, conversation, [role('a', 'admin'), ...messages(1, 2), role('b', 'member'), ...messages(3, 3)]);
  await send(pool, conversation, [role('c', 'admin')]);
  const seqs = async (): Promise<number[]> => {
    const { rows } = await pool.query<{ seq: number }>(
      `select h.seq from change h join conversation c on c.key = h.conversation
       where c.id = $1 and h.kind = 'role' order by h.seq`,
      [conversation],
    );
    return rows.map(({ seq }) => seq);
  };
  expect(await seqs()).toEqual([0, 2, 3]);
  await age(conversation, 2, 8);
  await step(conversation);
  expect(
    await seqs(),
    'a stream that continues with the oldest kept entry gets the changes after the entry before it',
  ).toEqual([2, 3]);
  await age(conversation, 3, 8);
  await step(conversation);
  expect(await seqs()).toEqual([3]);
});

test('a step looks at a few entries beside those that it takes, however long the log and however many are young', async () => {
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
    for (const days of [0, 2]) {
      await age(conversation, 1500, days);
      // As autovacuum would: without statistics the plan depends on its chance to come by.
      await client.query('analyze entry');
      await client.query('begin');
      const before = await fetched();
      await client.query('select retain($1, $2, 10)', [conversation, new Date()]);
      expect((await fetched()) - before).toBeLessThan(10 + 10 + 25);
      await client.query('rollback');
    }
  } finally {
    // Also after a failure: the next user of the connection must not get an open transaction.
    await client.query('rollback');
    client.release();
  }
});

/** Welcomes of a conversation whose bytes are kept. */
async function welcomeBodies(conversation: string): Promise<number | null> {
  const { rowCount } = await database().pool.query(
    'select from welcome_body b join conversation c on c.key = b.conversation where c.id = $1',
    [conversation],
  );
  return rowCount;
}

test('an expired Welcome is deleted, the log reports it, and the bytes go with the last one (invariant 6)', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { protocol: 'opaque' });
  await sendOne(pool, conversation, commit('in', 0, { adds: ['hugo', 'ida'], welcome: 'welcome' }));
  const { dueAt } = await facts(conversation);
  expect(dueAt).toBeGreaterThan(Date.now() + 29 * DAY_MS);
  await send(
    pool,
    conversation,
    messages(2, 3).map((request) => ({ ...request, epoch: 1 })),
  );
  expect((await facts(conversation)).dueAt).toBe(dueAt);
  expect(await retain(pool, conversation, Date.now(), 10)).toEqual({ changed: false });
  expect((await facts(conversation)).dueAt).toBe(dueAt);

  await pool.query(`update welcome set expires_at = now() - interval '1 second' where user_id = 'hugo'`);
  expect(await retain(pool, conversation, Date.now(), 10)).toEqual({ changed: true });
  const reported = async (): Promise<object[]> => {
    const { rows } = await pool.query<object>(
      `select h.seq, h.data from change h join conversation c on c.key = h.conversation
       where c.id = $1 and h.kind = 'welcome-expired' order by h.key`,
      [conversation],
    );
    return rows;
  };
  expect(await reported()).toEqual([{ seq: 3, data: { user: 'hugo', device: '' } }]);
  const waiting = async (user: string): Promise<(string | undefined)[]> =>
    (await listWelcomes(pool, { user, device: 'phone' })).welcomes.map(({ welcome }) => welcome.toString());
  expect(await waiting('hugo')).toEqual([]);
  expect(await waiting('ida')).toEqual(['welcome']);
  expect((await facts(conversation)).dueAt, 'the other one').toBe(dueAt);
  await checkInvariants(pool, conversation);

  // One that was taken up in time leaves nothing to tell.
  const [mine] = (await listWelcomes(pool, { user: 'ida', device: 'phone' })).welcomes;
  await acknowledgeWelcome(pool, { user: 'ida', device: 'phone' }, mine?.id ?? '');
  expect(await retain(pool, conversation, Date.now() + 31 * DAY_MS, 10)).toEqual({ changed: false });
  expect(await reported()).toHaveLength(1);
  expect(await facts(conversation)).not.toHaveProperty('dueAt');
  expect(await welcomeBodies(conversation)).toBe(0);
});

test('expired Welcomes are deleted in steps, and each is reported once', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { protocol: 'opaque' });
  const adds = Array.from({ length: 7 }, (_, i) => `new-${i}`);
  await sendOne(pool, conversation, commit('in', 0, { adds, welcome: 'welcome' }));
  const later = Date.now() + 31 * DAY_MS;
  const steps = [];
  for (let i = 0; i < 4; i++) steps.push(await retain(pool, conversation, later, 3));
  expect(steps).toEqual([{ changed: true }, { changed: true }, { changed: true }, { changed: false }]);
  const { rows } = await pool.query<{ user: string }>(
    `select h.data ->> 'user' as user from change h join conversation c on c.key = h.conversation
     where c.id = $1 and h.kind = 'welcome-expired'`,
    [conversation],
  );
  expect(rows.map(({ user }) => user).sort()).toEqual(adds);
  expect(await welcomeBodies(conversation)).toBe(0);
});

/** Tables whose rows are of one conversation. */
const OF_A_CONVERSATION = [
  'entry',
  'member',
  'period',
  'staged',
  'group_info',
  'welcome',
  'welcome_body',
  'change',
  'report',
  'race',
  'device_position',
  'proof',
  'bar',
];

test('what a deleted conversation holds is purged in pieces; its tombstone keeps its id for ever', async () => {
  const { pool } = database();
  const id = await startConversation(pool, { protocol: 'opaque' });
  await send(pool, id, messages(1, 25));
  await sendOne(pool, id, commit('c', 0, { adds: ['dave'], welcome: 'w', groupInfo: 'g' }));
  await device('bob', 'phone', id, 3);
  for (const row of [
    `report (conversation, user_id, seq, epoch, reason) select key, 'bob', 1, 0, ''`,
    `race (conversation, user_id) select key, 'bob'`,
    `proof (conversation, user_id, seq) select key, 'bob', 0`,
    `bar (conversation, user_id) select key, 'mallory'`,
    `staged (conversation, user_id, size, ciphertext) select key, 'bob', 0, ''`,
  ]) {
    await pool.query(`insert into ${row} from conversation where id = $1`, [id]);
  }
  const count = async (table: string): Promise<number | null> =>
    (await pool.query(`select from ${table} t join conversation c on c.key = t.conversation where c.id = $1`, [id]))
      .rowCount;
  for (const table of OF_A_CONVERSATION) expect(await count(table), table).toBeGreaterThan(0);
  expect(await purgeDeleted(pool, id, 10), 'not while it lives').toBe(true);
  expect(await facts(id)).toMatchObject({ lastSeq: 26 });

  await sendOne(pool, id, { kind: 'delete', id: 'd', actor: 'alice' });
  expect(await listDue(pool, Date.now() + 1000, 1000)).toContain(id);
  const steps: boolean[] = [];
  while (steps.at(-1) !== true) steps.push(await purgeDeleted(pool, id, 10));
  expect(steps).toEqual([false, false, true]);
  for (const table of OF_A_CONVERSATION) {
    expect(await count(table), table).toBe(0);
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
