import type pg from 'pg';
import { type Row, integer, object, oneOf, onlyRow, orNull, text, time } from '../row.ts';
import type { Finding } from './audit.ts';

export const RUN_STATES = ['running', 'finished', 'stopped'] as const;
/** What a run reads, in this order. */
export const SUBJECTS = ['conversations', 'key-packages'] as const;
export type Subject = (typeof SUBJECTS)[number];

/** An audit of all conversations that there were when it began. */
export interface Run {
  readonly id: number;
  readonly state: (typeof RUN_STATES)[number];
  readonly startedBy: string;
  readonly startedAt: Date;
  /** Time of its last slice. */
  readonly seenAt: Date;
  readonly finishedAt: Date | null;
  readonly subject: Subject;
  /** After which key it goes on: of a conversation, or a ref in hex. */
  readonly position: string;
  /** Internal key of the last conversation that it reads. */
  readonly lastKey: number;
  /** Conversations, those that are read and all. */
  readonly checked: number;
  readonly total: number;
  /** Findings, all and those that are stored. */
  readonly found: number;
  readonly stored: number;
}

/** Findings of one run that are stored. The others are counted. */
export const MAX_STORED_FINDINGS = 1000;
/** Runs whose numbers are kept. Findings are kept of the last two. */
const KEPT_RUNS = 100;

const COLUMNS = `id, state, started_by as "startedBy", started_at as "startedAt", seen_at as "seenAt",
  finished_at as "finishedAt", subject, position, last_key as "lastKey", checked, total, found, stored`;

/** Above it, the number of conversations is the estimate of the planner: counting millions would take minutes. */
const MAX_COUNTED = 100_000;
const COUNT = `(select case when n <= ${MAX_COUNTED} then n
  else greatest(n, (select reltuples::bigint from pg_class where oid = 'conversation'::regclass)) end
  from (select count(*) as n from (select from conversation limit ${MAX_COUNTED} + 1) c) counted)`;

/** Begins a run unless one is running. @param startedBy user id of an operator; '' = the schedule */
export async function beginRun(pool: pg.Pool, startedBy: string): Promise<Run> {
  await pool.query(
    `insert into consistency_run (started_by, last_key, total)
     select $1, coalesce(max(key), 0), ${COUNT} from conversation
     where not exists (select from consistency_run where state = 'running')
     having not exists (select from consistency_run where state = 'running')
     on conflict do nothing`,
    [startedBy],
  );
  const run = await currentRun(pool);
  // It was finished or stopped in this very moment.
  if (run === undefined) return beginRun(pool, startedBy);
  await pool.query('delete from consistency_finding where run < $1', [run.id - 1]);
  await pool.query('delete from consistency_run where id <= $1', [run.id - KEPT_RUNS]);
  return run;
}

/** The running one. */
export async function currentRun(pool: pg.Pool): Promise<Run | undefined> {
  return first(await pool.query<Row>(`select ${COLUMNS} from consistency_run where state = 'running'`));
}

/** The newest one; with `state`, of these only. */
export async function latestRun(pool: pg.Pool, state?: Run['state']): Promise<Run | undefined> {
  return first(
    await pool.query<Row>(
      `select ${COLUMNS} from consistency_run where $1::text is null or state = $1 order by id desc limit 1`,
      [state ?? null],
    ),
  );
}

/** Ends the running one. @returns false when none is running */
export async function stopRun(pool: pg.Pool): Promise<boolean> {
  const { rowCount } = await pool.query(
    `update consistency_run set state = 'stopped', finished_at = clock_timestamp() where state = 'running'`,
  );
  return rowCount === 1;
}

/** What a slice adds to its run. */
export interface Progress {
  readonly checked: number;
  readonly found: number;
  readonly findings: readonly Finding[];
  /** Where the run goes on; absent = this was its last slice. */
  readonly next?: { readonly subject: Subject; readonly position: string };
}

/**
 * Stores a slice, unless the run has gone on without it: two processes may read the same slice, and its findings count once.
 * @param run as it was when the slice was read
 * @returns the run now; `undefined` = it was not stored
 */
export async function saveProgress(
  pool: pg.Pool,
  run: Run,
  { checked, found, findings, next }: Progress,
): Promise<Run | undefined> {
  const stored = findings.slice(0, MAX_STORED_FINDINGS - run.stored);
  return first(
    await pool.query<Row>(
      `with moved as (
         update consistency_run set seen_at = clock_timestamp(), checked = checked + $4, found = found + $5,
           stored = stored + $6, subject = coalesce($7, subject), position = coalesce($8, position),
           state = case when $7::text is null then 'finished' else state end,
           finished_at = case when $7::text is null then clock_timestamp() end
         where id = $1 and state = 'running' and subject = $2 and position = $3
         returning ${COLUMNS}
       ), written as (
         insert into consistency_finding (conversation, run, n, rule, details)
         select f.key, $1, $10 + f.n, f.rule, f.details
         from moved, rows from (jsonb_to_recordset($9) as (key bigint, rule text, details jsonb))
           with ordinality as f (key, rule, details, n)
       )
       select * from moved`,
      [
        run.id,
        run.subject,
        run.position,
        checked,
        found,
        stored.length,
        next?.subject ?? null,
        next?.position ?? null,
        JSON.stringify(stored.map(({ key, rule, details }) => ({ key, rule, details }))),
        run.stored,
      ],
    ),
  );
}

/** A stored finding. */
export interface StoredFinding extends Finding {
  /** Its number in the run, from 1. */
  readonly n: number;
}

/** Stored findings of a run in the order in which they were found. @param after number after which the list begins */
export async function listFindings(pool: pg.Pool, run: number, after: number, limit: number): Promise<StoredFinding[]> {
  const { rows } = await pool.query<Row>(
    `select f.n, f.conversation as key, coalesce(c.id, '') as conversation, f.rule, f.details
     from consistency_finding f left join conversation c on c.key = f.conversation
     where f.run = $1 and f.n > $2 order by f.n limit $3`,
    [run, after, limit],
  );
  return rows.map((row) => ({
    n: integer(row, 'n'),
    key: integer(row, 'key'),
    conversation: text(row, 'conversation'),
    rule: text(row, 'rule'),
    details: object(row, 'details'),
  }));
}

function first({ rows }: pg.QueryResult<Row>): Run | undefined {
  if (rows.length === 0) return undefined;
  const row = onlyRow(rows, 'consistency run');
  return {
    id: integer(row, 'id'),
    state: oneOf(row, 'state', RUN_STATES),
    startedBy: text(row, 'startedBy'),
    startedAt: time(row, 'startedAt'),
    seenAt: time(row, 'seenAt'),
    finishedAt: orNull(time, row, 'finishedAt'),
    subject: oneOf(row, 'subject', SUBJECTS),
    position: text(row, 'position'),
    lastKey: integer(row, 'lastKey'),
    checked: integer(row, 'checked'),
    total: integer(row, 'total'),
    found: integer(row, 'found'),
    stored: integer(row, 'stored'),
  };
}
