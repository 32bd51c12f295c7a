import type pg from 'pg';
import { expect } from 'vitest';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import type { Load } from './load.ts';

interface Row {
  readonly seq: number;
  readonly kind: string;
  readonly id: string;
  readonly epoch: number;
  readonly ciphertext: Buffer;
  readonly appCount: number;
}

/**
 * Compares the answers that clients got with the rows in Postgres and with the current answers of the service: no
 * acknowledged operation is lost, none is stored twice, each client's order is kept, and unread counts are exact
 * (invariants 1 to 3 and 5 to 7).
 * @param check checks the invariants that hold inside one conversation
 */
export async function expectNothingLost(
  load: Load,
  pool: pg.Pool,
  check: (pool: pg.Pool, conversation: string) => Promise<unknown>,
): Promise<void> {
  const { ledger } = load;
  expect(ledger.contradictions).toEqual([]);
  for (const conversation of ledger.conversations()) {
    const rows = await readRows(pool, conversation);
    expectLog(load, conversation, rows);
    await expectReadable(load, conversation, rows);
    await expectMembers(load, conversation);
    await expectUnread(load, conversation, rows);
    await check(pool, conversation);
  }
}

async function readRows(pool: pg.Pool, conversation: string): Promise<Row[]> {
  const { rows } = await pool.query<Row>(
    `select e.seq, e.kind, e.message_id as id, e.epoch, e.ciphertext, e.app_count as "appCount"
     from entry e join conversation c on c.key = e.conversation where c.id = $1 order by e.seq`,
    [conversation],
  );
  return rows;
}

function expectLog({ ledger }: Load, conversation: string, rows: readonly Row[]): void {
  const { attempts } = ledger.of(conversation);
  const problems: string[] = [];
  const ids = new Set<string>();
  const lastOfSender = new Map<string, number>();
  let epoch = 0;
  rows.forEach((row, i) => {
    if (row.seq !== i + 1) problems.push(`entry ${i + 1} has seq ${row.seq}`);
    if (ids.has(row.id)) problems.push(`${row.id} is stored twice`);
    ids.add(row.id);
    if (row.kind === 'commit' && row.epoch !== epoch++) problems.push(`commit ${row.seq} ends epoch ${row.epoch}`);
    const attempt = attempts.get(row.id);
    if (attempt === undefined) problems.push(`nobody sent entry ${row.seq}, ${row.id}`);
    else if (attempt.ciphertext !== row.ciphertext.toString('base64'))
      problems.push(`entry ${row.seq} has other bytes`);
    if (attempt?.kind !== 'message') return;
    // A client has one operation in flight, so the log must keep the order of its messages.
    if ((lastOfSender.get(attempt.user) ?? -1) > attempt.order) problems.push(`entry ${row.seq} came too late`);
    lastOfSender.set(attempt.user, attempt.order);
  });
  for (const { id, kind, seq, epoch: acknowledged } of attempts.values()) {
    if (seq === undefined) continue;
    const row = rows[seq - 1];
    if (row?.id !== id || row.epoch !== acknowledged) problems.push(`${kind} ${id}, acknowledged at ${seq}, is lost`);
  }
  expect(problems).toEqual([]);
}

/** Acknowledged means readable (invariant 3): the pages contain the same entries as the table. */
async function expectReadable(load: Load, conversation: string, rows: readonly Row[]): Promise<void> {
  const reader = load.client(load.ledger.lurker);
  const seen: string[] = [];
  for (let after: number | undefined = 0; after !== undefined;) {
    const page = await reader.log(conversation, { after, limit: 1000 });
    seen.push(...page.entries.map((entry) => `${entry.seq} ${entry.id} ${entry.ciphertext}`));
    after = page.next;
  }
  expect(seen).toEqual(rows.map((row) => `${row.seq} ${row.id} ${row.ciphertext.toString('base64')}`));
}

async function expectMembers(load: Load, conversation: string): Promise<void> {
  const names: string[] = [];
  for (let cursor: string | undefined = ''; cursor !== undefined;) {
    const page = await load.client(load.ledger.lurker).members(conversation, cursor === '' ? {} : { cursor });
    names.push(...page.members.map(({ user }) => user));
    cursor = page.next;
  }
  expect(names.sort()).toEqual([...load.ledger.of(conversation).members].sort());
}

async function expectUnread(load: Load, conversation: string, rows: readonly Row[]): Promise<void> {
  const { increments } = load.ledger.of(conversation);
  expect(increments.unknown, 'increments whose outcome no client knows').toBe(0);
  const messages = rows.filter(({ kind }) => kind === 'application').length;
  const lurker = load.client(load.ledger.lurker);
  const expected = messages + increments.acknowledged;
  let unread = -1;
  // Increments that were answered 202 may not be counted yet: those of a run that is gone are left to the sweep.
  await waitUntil(async () => (unread = (await lurker.conversation(conversation)).unread) === expected, {
    what: `the lurker of ${conversation} has ${expected} unread`,
    timeoutMs: 130_000,
  }).catch(() => undefined);
  expect(unread, `unread of ${conversation}: ${messages} messages, ${increments.acknowledged} by increments`).toBe(
    expected,
  );

  const middle = rows[Math.floor(rows.length / 2)];
  if (middle === undefined) return;
  expect(await lurker.markRead(conversation, middle.seq)).toBe(messages - middle.appCount);
  expect((await lurker.conversation(conversation)).unread).toBe(messages - middle.appCount);
}
