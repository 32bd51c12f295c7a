import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eraseUser } from '../../../store/device/account.ts';
import { beginErasure, continueErasure } from '../../../store/device/erasure.ts';
import { listAudit } from '../../../store/repair/audit.ts';
import { viewConversation } from '../../../store/conversation/conversations.ts';
import { listChangedConversations, listConversations } from '../../../store/conversation/lists.ts';
import { readAdditions, readAdditionsTo } from '../../../store/log/changes.ts';
import { readPage } from '../../../store/log/entries.ts';
import { readSharedLogSlice, readUserLogSlice } from '../../../store/log/log-slices.ts';
import { readDeletions } from '../../../store/log/deletions.ts';
import { readUnreadTotals } from '../../../store/log/unread.ts';
import { deleteBody } from '../../../store/message/delete-body.ts';
import { findNews } from '../../../store/log/news.ts';
import { openStream, readDeviceNews, readWelcomesTo } from '../../../store/device/device-streams.ts';
import { forgetDevice, listDevices, touchDevices } from '../../../store/device/devices.ts';
import {
  markGroupInfo,
  offerTree,
  readGroupInfo,
  readGroupInfoVersion,
  readStoredGroupInfo,
} from '../../../store/group-info/group-info.ts';
import {
  type ClaimRequest,
  claimKeyPackages,
  readStock,
  sweepKeyPackages,
  uploadKeyPackages,
} from '../../../store/key-package/key-packages.ts';
import { type GroupClaimRequest, claimForUsers, sweepGroupClaims } from '../../../store/key-package/group-claims.ts';
import { listMembers } from '../../../store/membership/members.ts';
import { readStanding } from '../../../store/membership/standing.ts';
import { overviewConversation, overviewConversations } from '../../../store/conversation/overview.ts';
import { exportEntries, exportMembers, readExport } from '../../../store/conversation/export.ts';
import { listRowLocks } from '../../../store/conversation/row-locks.ts';
import { readWaiting } from '../../../store/conversation/waiting.ts';
import { createTicket, openTicket, readReplacedStreams } from '../../../store/device/stream-tickets.ts';
import { overviewUser } from '../../../store/device/user-overview.ts';
import { makePool } from '../../../store/pool.ts';
import { readDatabaseState } from '../../../store/process/database-state.ts';
import { acknowledge, listFollowedConversations, readFollowedConversation } from '../../../store/device/positions.ts';
import {
  answerConsentRequest,
  listConsentRequests,
  readConsent,
  writeConsent,
} from '../../../store/consent/consent.ts';
import { listDue, purgeDeleted, retain } from '../../../store/retention/retention.ts';
import { makeSweep } from '../../../store/retention/sweep.ts';
import { acknowledgeWelcome, listWelcomes, wakeEvictedWelcomes } from '../../../store/welcome/welcomes.ts';
import { newKeyPackage } from '../../harness/key-packages/packages.ts';
import { useDatabase } from '../../harness/database.ts';
import { findBroken } from '../../../store/consistency/rule.ts';
import { CONVERSATION_PASSES } from '../../../store/consistency/rules.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { rechain } from '../../../tools/harness/rechain.ts';
import { type Request, send, sendStaged, startConversation } from '../../harness/requests.ts';

/**
 * A plan that a session cached while the tables were tiny must still be good when they are large: the statements run
 * first on empty and on freshly analyzed tiny tables, then the tables grow, then the same session runs them again.
 */
const database = useDatabase();
const ENTRIES = 100_000;
const MEMBERS = 2000;
const DAY_MS = 86_400_000;
const SWEEP_AGES = { stagedMs: DAY_MS, operationsMs: DAY_MS, idempotencyMs: DAY_MS };
/** Id of a deleted conversation whose rows are still there. */
const GONE = 'gone-00000000000';
let pool: pg.Pool;
let conversation: string;
let count = 0;
/** A device with key packages in store. */
const owner = { user: 'alice', device: 'phone' };

const id = (): string => `id-${count++}`;

function messages(n: number, epoch: number): Request[] {
  return Array.from({ length: n }, () => ({ kind: 'message', id: id(), actor: 'alice', body: 'text', epoch }));
}

function claimOf(claimer: string): ClaimRequest {
  const { user } = owner;
  return {
    operationId: id(),
    claimer: { user: claimer, device: 'phone' },
    user,
    devices: undefined,
    cipherSuite: undefined,
    conversation: undefined,
    perMinute: 300,
  };
}

function groupClaimOf(claimer: string): GroupClaimRequest {
  const { operationId, cipherSuite, conversation: of } = claimOf(claimer);
  return {
    operationId,
    claimer: { user: claimer, device: 'phone' },
    users: [owner.user, 'user-7', 'nobody'],
    cipherSuite,
    conversation: of,
    usersPerMinute: 1000,
    isLimitedByDevice: true,
  };
}

/** Far below the size of the tables; above what a run of 16 messages reads beside a vacuum that has yet to clean up. */
const FEW = 2000;

function inSql(text: string, values: unknown[] = []): Promise<unknown> {
  return pool.query({ name: text.slice(0, 60), text, values });
}

/** Every hot statement, by name; each touches a few rows per operation. */
const statements: Record<string, (epoch: number) => Promise<unknown>> = {
  'decide: a message': (epoch) => send(pool, conversation, messages(1, epoch)),
  'decide: three messages': (epoch) => send(pool, conversation, messages(3, epoch)),
  'decide: a run of messages': (epoch) => send(pool, conversation, messages(16, epoch)),
  'decide: a run of staged messages': (epoch) => sendStaged(pool, conversation, messages(16, epoch)),
  'decide: a staged message': (epoch) => sendStaged(pool, conversation, messages(1, epoch)),
  'decide: a proposal': (epoch) =>
    send(pool, conversation, [{ kind: 'message', type: 'proposal', id: id(), actor: 'bob', body: 'p', epoch }]),
  'decide: a commit that lost': () =>
    send(pool, conversation, [{ kind: 'commit', id: id(), actor: 'alice', body: 'late', epoch: 0, adds: ['dave'] }]),
  'decide: a duplicate': (epoch) =>
    send(pool, conversation, [{ kind: 'message', id: 'first', actor: 'alice', body: 'text', epoch }]),
  'decide: a read mark': () => send(pool, conversation, [{ kind: 'read', id: id(), actor: 'carol', seq: count }]),
  'decide: a role': () =>
    send(pool, conversation, [{ kind: 'role', id: id(), actor: 'alice', user: 'bob', role: 'member' }]),
  'decide: a bar': () =>
    send(pool, conversation, [{ kind: 'bar', id: id(), actor: 'alice', user: 'mallory', barred: true }]),
  'read: a page from the middle': () => readPage(pool, conversation, 'alice', ENTRIES / 2, 10),
  'read: a page of commits': () => readPage(pool, conversation, 'alice', ENTRIES / 2, 10, 'commit'),
  'read: a page of a stranger': () => readPage(pool, conversation, 'mallory', 0, 10),
  'streams: a shared slice': () =>
    readSharedLogSlice(pool, conversation, ['alice', 'bob'], { seq: ENTRIES - 5, key: 0 }, 10),
  'streams: the slice of a user': () => readUserLogSlice(pool, conversation, 'alice', { seq: ENTRIES / 2, key: 0 }, 10),
  'streams: conversations with news': () =>
    findNews(pool, [{ conversation, seq: 5, key: 0, user: 'alice', readMark: '0 0 0' }]),
  'deletions: those of a user': () => readDeletions(pool, conversation, 'alice', { seq: ENTRIES / 2, key: 0 }, 10),
  'deletions: what it takes': () => deleteBody(pool, { conversation, user: 'nobody', seq: ENTRIES / 2 }),
  'unread: totals': () => readUnreadTotals(pool, 'alice'),
  'streams: additions of late': () => readAdditions(pool, 1, [1]),
  'streams: additions to a conversation': () => readAdditionsTo(pool, conversation, ENTRIES),
  'streams: my conversations': async () => {
    for await (const page of listFollowedConversations(pool, owner)) expect(page).not.toEqual([]);
  },
  'streams: who joined': () =>
    readFollowedConversation(pool, conversation, [owner, { user: 'user-1', device: 'phone' }]),
  'streams: my Welcomes': () => listWelcomes(pool, owner, randomUUID(), 20),
  'streams: Welcomes of a commit': () => readWelcomesTo(pool, conversation, ['alice', 'user-1'], ENTRIES / 2),
  'streams: open': () => openStream(pool, owner, randomUUID()),
  'streams: news of devices': () => readDeviceNews(pool, [{ ...owner, id: randomUUID(), lowSince: null }]),
  'positions: acknowledge': () => acknowledge(pool, owner, new Map([[conversation, { seq: 1 }]])),
  'read: one conversation': () => viewConversation(pool, conversation, 'alice'),
  'read: the GroupInfo': () => readGroupInfo(pool, conversation, 'alice'),
  'read: the standing of a user': () => readStanding(pool, conversation, 'alice'),
  'read: which GroupInfo is the current one': () => readGroupInfoVersion(pool, conversation),
  'read: the GroupInfo to hold a commit against': () => readStoredGroupInfo(pool, conversation, 0),
  'a new conversation: its GroupInfo is checked': () =>
    markGroupInfo(pool, conversation, { sha256: Buffer.alloc(32), cipherSuite: 1 }),
  'a commit: its computed tree': () =>
    offerTree(pool, conversation, { sha256: Buffer.alloc(32), tree: Buffer.alloc(1) }),
  'read: one conversation, for operators': () => overviewConversation(pool, conversation),
  'read: conversations, for operators': () => overviewConversations(pool, {}, '', 10),
  'read: conversations in trouble': () => overviewConversations(pool, { trouble: 'any' }, '', 10),
  'read: conversations that are due': () => overviewConversations(pool, { state: 'due' }, '', 10),
  'read: who holds a conversation': () => listRowLocks(pool, conversation),
  'read: what waits in a conversation': () => readWaiting(pool, conversation),
  'read: the state of the database': () => readDatabaseState(pool),
  'read: a user, for operators': () => overviewUser(pool, 'alice'),
  'export: entries': () => exportEntries(pool, conversation, { after: ENTRIES / 2, until: ENTRIES, limit: 10 }),
  'export: members': () => exportMembers(pool, conversation, 'user-5', 10),
  'export: is it one': () => readExport(pool, 1, conversation, 'operator'),
  'read: the audit': () => listAudit(pool, { limit: 10 }),
  'read: the audit of a conversation': () => listAudit(pool, { conversation, limit: 10 }),
  'read: my Welcomes': () => listWelcomes(pool, { user: 'alice', device: 'phone' }),
  'read: my conversations': () => listConversations(pool, 'alice', '', 10),
  // Of thousands.
  'read: the first conversations of a user': () => listConversations(pool, 'user-1', '', 10),
  'read: some more conversations of a user': () => listConversations(pool, 'user-1', 'grown-2500', 10),
  'read: everything of a user, for its next list of changes': () =>
    listChangedConversations(pool, 'user-1', { since: undefined }, 10),
  'read: what changed for a user': async () => {
    const { end } = await listChangedConversations(pool, 'alice', { since: undefined }, 1000);
    return listChangedConversations(pool, 'alice', { since: end }, 10);
  },
  'read: members': () => listMembers(pool, conversation, 'user-5', 10),
  'retention: a step': () => retain(pool, conversation, Date.now(), 5),
  // So late that nothing waits for devices any more.
  'retention: a step that deletes': () => retain(pool, conversation, Date.now() + 200 * DAY_MS, 5),
  'retention: what is due': () => listDue(pool, Date.now(), 5),
  'devices: seen': () => touchDevices(pool, [owner, { user: 'bob', device: 'phone' }]),
  'devices: mine': () => listDevices(pool, owner.user),
  'devices: leave my conversations': () =>
    continueErasure(pool, { user: 'alice', at: new Date(0) }, { until: Infinity, limit: 10 }),
  'devices: begin to erase': () => beginErasure(pool, 'user-6'),
  'consent: mine': () => readConsent(pool, 'alice'),
  'consent: set mine': () => writeConsent(pool, 'user-7', 'contacts'),
  'consent: requests': () => listConsentRequests(pool, 'user-7', '', 10),
  'consent: answer': () => answerConsentRequest(pool, 'user-7', 'user-8', true),
  'consent: a claim of a stranger': () => claimKeyPackages(pool, { ...claimOf('user-9'), user: 'user-7' }),
  'key packages: upload': () =>
    uploadKeyPackages(pool, owner, [newKeyPackage(), newKeyPackage({ lastResort: true })], false),
  'key packages: replace': () => uploadKeyPackages(pool, { user: 'user-3', device: 'phone' }, [newKeyPackage()], true),
  'devices: forget': () => forgetDevice(pool, { user: 'user-4', device: 'phone' }),
  'devices: erase': () => eraseUser(pool, 'user-5'),
  'key packages: stock': () => readStock(pool, owner),
  'key packages: claim': () => claimKeyPackages(pool, claimOf('dave')),
  'key packages: claim of one who claims a lot': () => claimKeyPackages(pool, claimOf('erin')),
  'key packages: claim of one who claimed a lot': () => claimKeyPackages(pool, claimOf('user-0')),
  'key packages: a claim again': () => claimKeyPackages(pool, { ...claimOf('dave'), operationId: 'again' }),
  'key packages: claim for users': () => claimForUsers(pool, groupClaimOf('dave')),
  'key packages: claim for users of one who claims a lot': () => claimForUsers(pool, groupClaimOf('erin')),
  'key packages: claim for users of one who claimed a lot': () => claimForUsers(pool, groupClaimOf('user-0')),
  'key packages: a claim for users again': () =>
    claimForUsers(pool, { ...groupClaimOf('dave'), operationId: 'group again' }),
  'key packages: sweep of claims for users': () => sweepGroupClaims(pool, 1),
  'key packages: sweep': () => sweepKeyPackages(pool),
  'inbox: whom a user knows': () => inSql(`select is_known('user-1', 'alice'), is_known('alice', 'user-1')`),
  'inbox: memberships of an inviter': () => inSql(`select unknown_inviter_refusal('alice', array['user-1', 'user-2'])`),
  'inbox: Welcomes of an inviter': () =>
    inSql(
      `select welcome_refusal(c, 'alice', 'member', 'welcome', array(
        select ref from key_package where user_id = 'user-2' and device_id = 'phone' order by claimed_at limit 2), array['user-2'])
      from conversation c where id = $1`,
      [conversation],
    ),
  'inbox: make room': () => inSql(`select make_room_in_inbox('user-2', 'phone')`),
  'inbox: wake': () => wakeEvictedWelcomes(pool),
  'tickets: make': () =>
    createTicket(pool, { ...owner, hash: randomBytes(32), conversation, expiresAt: Date.now() + DAY_MS }),
  'tickets: use': () => openTicket(pool, Buffer.from('none'), conversation, randomUUID()),
  'tickets: are there newer streams': () =>
    readReplacedStreams(pool, [{ hash: Buffer.from('none'), streamId: randomUUID(), usedAt: 0 }]),
  'Welcomes: acknowledge': () => acknowledgeWelcome(pool, owner, randomUUID()),
};

beforeAll(async () => {
  await keepAutovacuumAway();
  pool = makePool({ url: database().url, max: 1, name: 'plans' });
  for (const run of Object.values(statements).slice(10)) {
    conversation = 'none-yet';
    await run(0);
  }
  conversation = await startConversation(pool, { policy: { retentionDays: 30 } });
  await send(pool, conversation, [{ kind: 'message', id: 'first', actor: 'alice', body: 'text', epoch: 0 }]);
  for (const run of Object.values(statements)) await run(0);
  await database().pool.query(
    'vacuum (analyze) conversation, member, period, entry, operation, staged, device, key_package, claim, welcome, welcome_body',
  );
  for (const run of Object.values(statements)) await run(0);
  for (const { run } of Object.values(bounded)) await run();
  // Outside of the time limit of the tests' pool.
  const slow = makePool({ url: database().url, max: 1, name: 'grow', statementTimeoutMs: 60_000 });
  await grow(slow).finally(() => slow.end());
});

afterAll(() => pool.end());

test.each(Object.keys(statements))(
  '%s touches a few rows of large tables, with a plan from tiny ones',
  async (name) => {
    const epoch = await currentEpoch();
    const run = statements[name] ?? (() => expect.unreachable());
    const before = await counters();
    await run(epoch);
    const after = await counters();
    expect(after.sequentialScans - before.sequentialScans).toBe(0);
    expect(after.indexRows - before.indexRows).toBeLessThan(FEW);
    expect(after.rows - before.rows).toBeLessThan(FEW);
  },
);

/** What reads more than a few rows, but as many as it should, however large the other tables are. */
const bounded: Record<string, { run: () => Promise<unknown>; rows: number }> = {
  // Each member, its device, and the position of that.
  'retention: what devices need': {
    run: () => pool.query(`select needed_seq(key, now()) from conversation where id = $1`, [conversation]),
    rows: 5 * MEMBERS,
  },
  // A thousand devices, races and Welcomes.
  'sweep: a run': { run: () => makeSweep(pool, SWEEP_AGES)(), rows: 10_000 },
  // Last: what the planner is told here is for the other tests to do without. It plans each piece anew, and must know that the
  // conversation is a large one.
  'retention: a piece of a deleted conversation': {
    run: async () => {
      await pool.query('analyze entry');
      await purgeDeleted(pool, GONE, 50);
    },
    rows: 1000,
  },
};

test.each(Object.keys(bounded))('%s reads no more of large tables than it has to', async (name) => {
  const { run, rows } = bounded[name] ?? expect.unreachable();
  const before = await counters();
  await run();
  const after = await counters();
  expect(after.sequentialScans - before.sequentialScans).toBe(0);
  expect(after.indexRows - before.indexRows).toBeLessThan(rows);
  expect(after.rows - before.rows).toBeLessThan(rows);
});

test('the grown conversation is a sound one', () => checkInvariants(database().pool, conversation));

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Actual Rows': number;
  readonly Plans?: readonly PlanNode[];
}

test.each(CONVERSATION_PASSES.map((pass) => [pass.rules.map(({ name }) => name).join(', '), pass] as const))(
  'the audit sorts only what breaks a rule: %s',
  async (_, pass) => {
    const keys = [
      (await pool.query<{ key: number }>('select key from conversation where id = $1', [conversation])).rows[0]?.key,
    ];
    const { rows } = await pool.query<Record<string, [{ Plan: PlanNode }]>>(
      `explain (analyze, format json) ${findBroken(pass)}`,
      [keys],
    );
    const nodes = nodesOf(rows[0]?.['QUERY PLAN']?.[0].Plan ?? expect.unreachable());
    expect(nodes.length).toBeGreaterThan(3);
    expect(nodes.filter((node) => node['Node Type'].startsWith('Seq Scan'))).toEqual([]);
    expect(nodes.filter((node) => node['Node Type'].includes('Sort') && node['Actual Rows'] > 0)).toEqual([]);
  },
);

function nodesOf(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

/** It would tell the planner that tables have grown. Told before any plan is made: a table that is changed is planned for anew. */
async function keepAutovacuumAway(): Promise<void> {
  await database().pool.query(
    `do $$ declare grown regclass; begin
       for grown in select oid from pg_class where relnamespace = 'parley'::regnamespace and relkind = 'r' loop
         execute format('alter table %s set (autovacuum_enabled = off)', grown);
       end loop;
     end $$`,
  );
}

/** A long log, many members, and many other conversations, without telling the planner. */
async function grow(db: pg.Pool): Promise<void> {
  const { rows } = await db.query<{ key: number }>('select key from conversation where id = $1', [conversation]);
  const key = rows[0]?.key;
  // 999 messages and a commit, again and again.
  await db.query(
    `insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at)
     select c.key, c.last_seq + n, case when n % 1000 = 0 then 'commit' else 'application' end, c.epoch + (n - 1) / 1000,
       'grown-' || n, sha256(n::text::bytea), 'text', case when n % 1000 = 0 then 'alice' end,
       c.app_count + n - n / 1000, c.last_at
     from conversation c, generate_series(1, ${ENTRIES}) n where c.id = '${conversation}'`,
  );
  await db.query(
    `update conversation set epoch = epoch + $2, last_seq = last_seq + $3, app_count = app_count + $3 - $2,
       last_commit_seq = last_seq + $3, member_count = member_count + $4 where key = $1`,
    [key, ENTRIES / 1000, ENTRIES, MEMBERS],
  );
  await rechain(db, conversation);
  await db.query(
    `insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count)
     select $1, 'user-' || n, 'member', 0, 0, 0, 0 from generate_series(1, $2) n`,
    [key, MEMBERS],
  );
  await db.query(
    `insert into period (conversation, user_id, from_seq) select $1, 'user-' || n, 1 from generate_series(1, $2) n`,
    [key, MEMBERS],
  );
  await db.query(
    `insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint)
     select 'grown-' || n, 'mls', 0, 1, '{}', 'user-1', '' from generate_series(1, 5000) n`,
  );
  await db.query(
    `insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count)
     select key, 'user-1', 'admin', 0, 0, 0, 0 from conversation where id like 'grown-%'`,
  );
  await db.query(
    `insert into device (user_id, device_id) select 'user-' || n, 'phone' from generate_series(1, ${MEMBERS}) n
     on conflict do nothing`,
  );
  await db.query(
    `insert into device_position (user_id, device_id, conversation, seq)
     select 'user-' || n, 'phone', c.key, n from generate_series(1, ${MEMBERS}) n, conversation c
     where c.key = $1 or (n = 1 and c.id like 'grown-%')`,
    [key],
  );
  await db.query(
    `insert into race (conversation, user_id) select key, 'user-1' from conversation where id like 'grown-%'`,
  );
  await db.query(
    `insert into change (conversation, seq, kind, data, at)
     select $1, n * 5, case when n % 2 = 0 then 'added' else 'policy' end, '{"users": [], "policy": {}}', now() - interval '1 hour'
     from generate_series(1, 20000) n`,
    [key],
  );
  await db.query(`insert into audit (actor, action) select 'user-1', 'reset' from generate_series(1, 20000)`);
  // Ten of each user, five of which one claimer took days ago, and another some hours ago; 300 more of one device.
  await db.query(
    `insert into key_package (ref, user_id, device_id, cipher_suite, key_package, last_resort, not_after, claimed_at)
     select sha256(n::text::bytea), 'user-' || n % ${MEMBERS}, 'phone', 1, 'key package', false, now() + interval '1 day',
       case when n <= ${MEMBERS} * 5 then now() - interval '2 hours' end
     from generate_series(1, ${MEMBERS} * 10) n`,
  );
  await db.query(
    `insert into key_package (ref, user_id, device_id, cipher_suite, key_package, last_resort, not_after)
     select sha256(('own-' || n)::bytea), $1, $2, 1, 'key package', false, now() + interval '1 day'
     from generate_series(1, 300) n`,
    [owner.user, owner.device],
  );
  await db.query(
    `insert into claim (ref, user_id, at) select ref, 'user-0', claimed_at - interval '2 days' from key_package
     where claimed_at is not null`,
  );
  await db.query(
    `insert into claim (ref, user_id, at) select ref, 'erin', claimed_at from key_package where claimed_at is not null
     limit 300`,
  );
  await db.query(
    `insert into welcome_body (conversation, seq, welcome)
     select key, 1, 'welcome' from conversation where id like 'grown-%'`,
  );
  await db.query(
    `insert into welcome (conversation, user_id, device_id, seq, epoch)
     select key, 'user-1', 'phone', 1, 1 from conversation where id like 'grown-%'`,
  );
  await db.query(
    `insert into invitation (user_id, inviter, conversation, at)
     select 'user-' || n % 100, 'user-' || n % ${MEMBERS}, n, now() - interval '1 hour' from generate_series(1, 20000) n`,
  );
  await db.query(`insert into consent (user_id, mode) select 'other-' || n, 'nobody' from generate_series(1, 20000) n`);
  await db.query(
    `insert into consent_request (user_id, asker) select 'other-' || n, 'user-' || n from generate_series(1, 20000) n`,
  );
  await db.query(
    `with gone as (
       insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint, last_seq, deleted_at, due_at)
       values ($1, 'mls', 0, 1, '{}', 'user-1', '', 5000, now(), now()) returning key)
     insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, app_count, at)
     select key, n, 'application', 0, 'gone-' || n, '', '', n, now() from gone, generate_series(1, 5000) n`,
    [GONE],
  );
  // What this session read belongs to no test.
  await db.query('select pg_stat_force_next_flush()');
}

async function currentEpoch(): Promise<number> {
  return (await viewConversation(database().pool, conversation, 'alice'))?.epoch ?? 0;
}

/** What the session under test has read since the database was made. */
/** Without `incarnation`, which has one row. */
async function counters(): Promise<{ sequentialScans: number; indexRows: number; rows: number }> {
  await pool.query('select pg_stat_force_next_flush()');
  const { rows } = await pool.query<{ sequentialScans: number; indexRows: number; rows: number }>(
    `select sum(seq_scan)::int as "sequentialScans", sum(coalesce(idx_tup_fetch, 0) + seq_tup_read)::int as rows,
       (select sum(idx_tup_read)::int from pg_stat_user_indexes where schemaname = 'parley') as "indexRows"
     from pg_stat_user_tables where schemaname = 'parley' and relname <> 'incarnation'`,
  );
  const [row] = rows;
  if (row === undefined) throw new Error('There are no statistics');
  return row;
}
