import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { type Row, bytes, integer, object, orNull, text } from '../row.ts';
import type { Pass } from './rule.ts';
import { findBroken } from './rule.ts';
import { CONVERSATION_PASSES, KEY_PACKAGE_PASS, NOT_AUDITED } from './rules.ts';

/** A row that breaks a rule. */
export interface Finding {
  /** Internal key of the conversation; 0 = a key package that no conversation used. */
  readonly key: number;
  /** Id of the conversation; '' = of none. */
  readonly conversation: string;
  /** Name of the rule (store/consistency/rules.ts). */
  readonly rule: string;
  /** The values that break it. They may name users. */
  readonly details: Row;
}

export interface AuditResult {
  /** Some of the findings of each rule. */
  readonly findings: readonly Finding[];
  /** Number of all findings. */
  readonly found: number;
}

/** A part of all conversations, and what it says. */
export interface Slice extends AuditResult {
  /** Conversations that were read. */
  readonly checked: number;
  /** Where the next slice begins; absent = this was the last one. */
  readonly next?: string;
  /** Time of the look-up before the rows were read: how fast the database answers now; milliseconds. */
  readonly lookUpMs: number;
}

export interface SliceLimits {
  /** @default 200 */
  readonly conversations?: number;
  /**
   * Entries and members of all conversations of the slice together. A larger conversation is a slice of its own.
   * @default 20,000
   */
  readonly rows?: number;
  /** Time limit of one statement; milliseconds. @default 30,000 */
  readonly statementMs?: number;
  /** Time limit of all statements together; milliseconds. Absent = each has its own only. */
  readonly totalMs?: number;
}

const LIMITS = { conversations: 200, rows: 20_000, statementMs: 30_000 } as const;
/** Key packages of a slice. */
const KEY_PACKAGES = 5000;
const CANCELLED = '57014';

/**
 * Reads conversations in one snapshot. No row is locked, and what is decided meanwhile makes no finding.
 * @param ids those that do not exist are left out
 * @throws AppError `deadline` when `totalMs` are over before the last statement
 */
export function auditConversations(
  pool: pg.Pool,
  ids: readonly string[],
  limits: SliceLimits = {},
): Promise<AuditResult & { readonly checked: number }> {
  return inSnapshot(pool, { ...LIMITS, ...limits }, async (ask) => {
    const rows = await ask('select key, id from conversation where id = any ($1) order by key', [ids]);
    return { checked: rows.length, ...(await readConversations(ask, names(rows))) };
  });
}

/**
 * Reads the next conversations in the order of their keys.
 * @param after internal key; '0' = from the first on
 * @param last internal key of the last conversation
 */
export async function auditNextConversations(
  pool: pg.Pool,
  { after, last }: { readonly after: string; readonly last: number },
  limits: SliceLimits = {},
): Promise<Slice> {
  const all = { ...LIMITS, ...limits };
  try {
    return await inSnapshot(pool, all, async (ask) => {
      const startedAt = performance.now();
      const slice = names(await ask(NEXT_CONVERSATIONS, [Number(after), last, all.conversations, all.rows]));
      const lookUpMs = performance.now() - startedAt;
      const end = [...slice.keys()].at(-1);
      const isLast = end === undefined || end >= last;
      const result = await readConversations(ask, slice);
      return { checked: slice.size, ...result, lookUpMs, ...(isLast ? {} : { next: String(end) }) };
    });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === CANCELLED)) throw error;
    // One of them is too large. Each is tried alone.
    if (all.conversations > 1) return auditNextConversations(pool, { after, last }, { ...limits, conversations: 1 });
    return skipOne(pool, after, last);
  }
}

const NEXT_CONVERSATIONS = `
  select key, id from (
    select key, id, sum(rows) over (order by key) - rows as before from (
      select key, id, last_seq - oldest_seq + 2 + member_count as rows
      from conversation where key > $1 and key <= $2 order by key limit $3) c) s
  where before < $4 order by key`;

/** A conversation that the time limit does not let be read is named, so that nobody takes it for sound. */
async function skipOne(pool: pg.Pool, after: string, last: number): Promise<Slice> {
  const { rows } = await pool.query<Row>(NEXT_CONVERSATIONS, [Number(after), last, 1, 1]);
  const [[key, conversation] = []] = [...names(rows)];
  if (key === undefined || conversation === undefined) return { checked: 0, findings: [], found: 0, lookUpMs: 0 };
  const findings = [{ key, conversation, rule: NOT_AUDITED, details: {} }];
  return { checked: 0, findings, found: 1, lookUpMs: 0, ...(key >= last ? {} : { next: String(key) }) };
}

/** Reads the next key packages in the order of their refs. @param after ref in hex; '' = from the first on */
export function auditNextKeyPackages(pool: pg.Pool, after: string, limit: number = KEY_PACKAGES): Promise<Slice> {
  return inSnapshot(pool, LIMITS, async (ask) => {
    const from = Buffer.from(after, 'hex');
    const startedAt = performance.now();
    const rows = await ask('select ref from key_package where ref > $1 order by ref limit $2', [from, limit]);
    const lookUpMs = performance.now() - startedAt;
    const last = rows.at(-1);
    if (last === undefined) return { checked: 0, findings: [], found: 0, lookUpMs };
    const end = bytes(last, 'ref');
    const broken = await ask(findBroken(KEY_PACKAGE_PASS), [from, end]);
    const known = await ask('select key, id from conversation where key = any ($1)', [
      broken.map((row) => integer(row, 'conversation')),
    ]);
    return {
      checked: 0,
      ...collect(broken, names(known)),
      lookUpMs,
      ...(rows.length < limit ? {} : { next: end.toString('hex') }),
    };
  });
}

type Ask = (statement: string, values?: readonly unknown[]) => Promise<Row[]>;

async function readConversations(ask: Ask, slice: ReadonlyMap<number, string>): Promise<AuditResult> {
  const results: AuditResult[] = [];
  if (slice.size > 0) {
    for (const pass of CONVERSATION_PASSES) results.push(await readPass(ask, pass, slice));
  }
  return {
    findings: results.flatMap(({ findings }) => findings),
    found: results.reduce((sum, { found }) => sum + found, 0),
  };
}

async function readPass(ask: Ask, pass: Pass, slice: ReadonlyMap<number, string>): Promise<AuditResult> {
  return collect(await ask(findBroken(pass), [[...slice.keys()]]), slice);
}

function collect(rows: readonly Row[], ids: ReadonlyMap<number, string>): AuditResult {
  const perRule = new Map(rows.map((row) => [text(row, 'rule'), integer(row, 'found')]));
  return {
    findings: rows.map((row) => {
      const key = integer(row, 'conversation');
      return { key, conversation: ids.get(key) ?? '', rule: text(row, 'rule'), details: object(row, 'details') };
    }),
    found: [...perRule.values()].reduce((sum, found) => sum + found, 0),
  };
}

function names(rows: readonly Row[]): Map<number, string> {
  return new Map(rows.map((row) => [integer(row, 'key'), orNull(text, row, 'id') ?? '']));
}

/** Everything that `act` asks is of one moment. */
async function inSnapshot<T>(
  pool: pg.Pool,
  { statementMs, totalMs }: { readonly statementMs: number; readonly totalMs?: number },
  act: (ask: Ask) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  // The pool's own limits are for decisions. The client waits a little longer than the server, so that the server's answer comes.
  const until = totalMs === undefined ? undefined : performance.now() + totalMs;
  const ask: Ask = async (statement, values = []) => {
    if (until !== undefined) {
      const leftMs = until - performance.now();
      if (leftMs <= 0) throw new AppError('deadline');
      await client.query(limited(Math.min(statementMs, leftMs)));
    }
    const query = { text: statement, values: [...values], query_timeout: statementMs + 1000 };
    return (await client.query<Row>(query)).rows;
  };
  let failure: unknown;
  try {
    await client.query(`begin isolation level repeatable read read only; ${limited(statementMs)}`);
    return await act(ask);
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    await client.query('rollback').then(
      () => client.release(),
      () => client.release(failure instanceof Error ? failure : true),
    );
  }
}

/** Limits the statements of the transaction from now on. */
function limited(ms: number): string {
  return `set local statement_timeout = ${Math.ceil(ms)}`;
}
