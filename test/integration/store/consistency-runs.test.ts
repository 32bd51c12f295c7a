import { afterEach, beforeEach, expect, test } from 'vitest';
import { createConsistencyActivities, pauseAfter } from '../../../activities/consistency.ts';
import { NOT_AUDITED } from '../../../store/consistency/rules.ts';
import { auditNextConversations } from '../../../store/consistency/audit.ts';
import type { Finding } from '../../../store/consistency/audit.ts';
import {
  MAX_STORED_FINDINGS,
  beginRun,
  currentRun,
  latestRun,
  listFindings,
  saveProgress,
  stopRun,
} from '../../../store/consistency/runs.ts';
import { manyId, seedMany } from '../../../tools/load/seed-many.ts';
import { rechain } from '../../../tools/harness/rechain.ts';
import { useDatabase } from '../../harness/database.ts';
import { patientPool } from '../../harness/patient-pool.ts';
import { type Request, send, startConversation } from '../../harness/requests.ts';

const database = useDatabase();
const MANY = { name: 'audited', conversations: 500, members: 2 };
let logged: Finding[] = [];

beforeEach(async () => {
  await seedMany(database().pool, MANY);
});
afterEach(async () => {
  logged = [];
  await database().pool.query(
    'truncate conversation, member, period, change, entry, operation, welcome, welcome_body, group_info, consistency_run, consistency_finding cascade',
  );
});

/** The activities of a worker of its own. */
function worker(): ReturnType<typeof createConsistencyActivities> {
  return createConsistencyActivities({
    pool: database().pool,
    dutyPercent: 100,
    onFinding: (finding) => void logged.push(finding),
    onFailure: () => expect.unreachable(),
  });
}

async function untilDone(): Promise<void> {
  const { auditStep } = worker();
  let step = await auditStep({ begin: true });
  while (step !== undefined) step = await auditStep({ begin: false });
}

async function corrupt(numbers: readonly number[]): Promise<void> {
  await database().pool.query('update conversation set member_count = 7 where id = any ($1)', [
    numbers.map((number) => manyId(MANY.name, number)),
  ]);
}

test('an audit that its worker left goes on where it was, and each finding counts once', async () => {
  const { pool } = database();
  await corrupt([3, 250, 499]);
  const begun = await beginRun(pool, 'operator');
  expect(begun).toMatchObject({ state: 'running', total: 500, checked: 0, startedBy: 'operator' });
  const slice = await auditNextConversations(pool, { after: begun.position, last: begun.lastKey });
  const { checked, found, findings } = slice;
  const progress = {
    checked,
    found,
    findings,
    next: { subject: 'conversations' as const, position: slice.next ?? '' },
  };
  expect(await saveProgress(pool, begun, progress)).toMatchObject({ checked: 200, found: 1, state: 'running' });
  // A worker that was cut off stores the same slice later: it counts for nothing.
  expect(await saveProgress(pool, begun, progress)).toBeUndefined();

  // Whoever comes next goes on. No second audit begins.
  await untilDone();
  const run = await latestRun(pool);
  expect(run).toMatchObject({ id: begun.id, state: 'finished', checked: 500, found: 3, stored: 3 });
  const stored = await listFindings(pool, begun.id, 0, 100);
  expect(stored.map(({ n, conversation, rule, details }) => ({ n, conversation, rule, details }))).toEqual(
    [3, 250, 499].map((number, i) => ({
      n: i + 1,
      conversation: manyId(MANY.name, number),
      rule: 'member-count',
      details: { member_count: 7, members: 2 },
    })),
  );
  expect(await listFindings(pool, begun.id, 2, 100)).toHaveLength(1);
  expect(logged.map(({ rule }) => rule)).toEqual(['member-count', 'member-count']);
});

test('two workers at once read no conversation twice into the result', async () => {
  await corrupt([3, 250, 499]);
  await Promise.all([untilDone(), untilDone()]);
  const { pool } = database();
  const run = await latestRun(pool);
  expect(run).toMatchObject({ state: 'finished', checked: 500, found: 3 });
  expect(await listFindings(pool, run?.id ?? 0, 0, 100)).toHaveLength(3);
});

test('findings are stored up to a limit, and all are counted; those of the run before stay, older ones go', async () => {
  const { pool } = database();
  await pool.query(`update member set read_count = 5, read_seq = 5, increments_base = 5`);
  await untilDone();
  const first = await latestRun(pool);
  // A slice shows 100 of a rule.
  expect(first).toMatchObject({ found: 1000, stored: 300 });
  await untilDone();
  await untilDone();
  const kept = await pool.query<{ run: number }>('select distinct run from consistency_finding order by run');
  expect(kept.rows).toEqual([{ run: (first?.id ?? 0) + 1 }, { run: (first?.id ?? 0) + 2 }]);

  const run = await beginRun(pool, '');
  const finding = { key: 0, conversation: '', rule: 'seq-dense', details: {} };
  const findings = Array.from({ length: MAX_STORED_FINDINGS + 5 }, () => finding);
  const saved = await saveProgress(pool, run, { checked: 1, found: findings.length, findings });
  expect(saved).toMatchObject({ state: 'finished', found: MAX_STORED_FINDINGS + 5, stored: MAX_STORED_FINDINGS });
});

test('an audit that an operator stopped stays stopped; the next one begins at the first conversation', async () => {
  const { pool } = database();
  const run = await beginRun(pool, '');
  expect((await beginRun(pool, 'operator')).id).toBe(run.id);
  expect(await stopRun(pool)).toBe(true);
  expect(await stopRun(pool)).toBe(false);
  expect(await worker().auditStep({ begin: false })).toBeUndefined();
  expect(await currentRun(pool)).toBeUndefined();
  await untilDone();
  expect(await latestRun(pool)).toMatchObject({ id: run.id + 1, state: 'finished', checked: 500 });
});

test('conversations that come later are left to the next audit', async () => {
  const { pool } = database();
  await beginRun(pool, '');
  await startConversation(pool);
  await untilDone();
  expect(await latestRun(pool)).toMatchObject({ state: 'finished', checked: 500, total: 500 });
});

test('a conversation that cannot be read in time is named, and the others are read', async () => {
  const { pool } = database();
  // 20,000 entries take longer than a millisecond; a few rows do not, with several tries.
  const large = await startConversation(pool, { protocol: 'opaque' });
  const slow = patientPool(database().url);
  await slow.query(
    `insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, app_count, at)
     select key, n, 'application', 0, n::text, '', '', n, created_at from conversation, generate_series(1, 60000) n where id = $1`,
    [large],
  );
  const { rows } = await pool.query<{ key: number }>(
    'update conversation set last_seq = 60000, app_count = 60000 where id = $1 returning key',
    [large],
  );
  await rechain(slow, large);
  const key = rows[0]?.key ?? 0;
  const slice = await auditNextConversations(pool, { after: String(key - 1), last: key }, { statementMs: 5 });
  expect(slice).toMatchObject({ checked: 0, found: 1, findings: [{ conversation: large, rule: NOT_AUDITED }] });
  expect(slice.next).toBeUndefined();
  // With time it is a slice of its own, and sound.
  const patient = await auditNextConversations(pool, { after: String(key - 1), last: key });
  expect(patient).toMatchObject({ checked: 1, found: 0 });
});

test('a slice ends before its rows are too many', async () => {
  const { pool } = database();
  // Two members, no entries: three each.
  const { checked } = await auditNextConversations(pool, { after: '0', last: Number.MAX_SAFE_INTEGER }, { rows: 30 });
  expect(checked).toBe(10);
  const least = await auditNextConversations(pool, { after: '0', last: Number.MAX_SAFE_INTEGER }, { rows: 1 });
  expect(least.checked).toBe(1);
});

test('what is decided while the audit reads makes no finding (invariants 1 to 8)', async () => {
  const { pool } = database();
  const ids = await Promise.all(
    Array.from({ length: 4 }, () =>
      startConversation(pool, { protocol: 'opaque', members: ['alice', 'bob', 'carol'] }),
    ),
  );
  const busy = { isOver: false };
  let decided = 0;
  const work = async (id: string, name: number): Promise<void> => {
    for (let i = 0; !busy.isOver; i++) {
      const batch: Request[] = [
        { kind: 'message', id: `m-${name}-${i}`, actor: 'alice', body: 'text' },
        {
          kind: 'commit',
          id: `c-${name}-${i}`,
          actor: 'alice',
          adds: i % 2 === 0 ? ['dave'] : [],
          removes: i % 2 === 0 ? [] : ['dave'],
        },
        { kind: 'read', id: `r-${name}-${i}`, actor: 'bob' },
        { kind: 'increment', id: `i-${name}-${i}`, actor: 'carol', by: 1 },
      ];
      const { outcomes } = await send(pool, id, batch);
      decided += outcomes.filter(({ status }) => status === 'accepted').length;
    }
  };
  const load = ids.map((id, name) => work(id, name));
  try {
    for (let round = 0; round < 10; round++) await untilDone();
  } finally {
    busy.isOver = true;
    await Promise.all(load);
  }
  expect(decided).toBeGreaterThan(100);
  expect(logged).toEqual([]);
  const { rows } = await pool.query<{ found: number }>('select sum(found)::int as found from consistency_run');
  expect(rows).toEqual([{ found: 0 }]);
});

test('the pauses keep to the part of the time that the audit may have, and to a fifth of it beside other work', () => {
  expect(pauseAfter(1000, 20, false)).toBe(4000);
  expect(pauseAfter(1000, 20, true)).toBe(24_000);
  expect(pauseAfter(1000, 100, false)).toBe(0);
});
