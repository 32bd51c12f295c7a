import type pg from 'pg';
import { type Row, integer, object, oneOf, text, time } from '../row.ts';

export const PROCESS_KINDS = ['api', 'worker', 'supervisor'] as const;
export type ProcessKind = (typeof PROCESS_KINDS)[number];

/** What a process says of itself. */
export interface ProcessSign {
  /** Kind, host, pid and start. */
  readonly id: string;
  readonly kind: ProcessKind;
  readonly version: string;
  /** Commit or image that it was built from. */
  readonly build: string;
  readonly taskQueue: string;
  /** Small facts for operators, such as counts. No ids of users or conversations. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** A process as others see it. */
export interface SeenProcess extends ProcessSign {
  readonly startedAt: Date;
  /** Age of its last sign by the clock of the database; milliseconds. */
  readonly silentMs: number;
}

/** A process signs this often. */
export const SIGN_EVERY_MS = 1000;
/** A process that was silent for longer does not work: two of its signs did not come. */
export const SILENT_MS = 2500;
/** A process that was silent for this long is gone: its row is deleted. Long enough for whoever is called to see it. */
const FORGOTTEN_MS = 10 * 60_000;

const SIGN = `insert into process (id, kind, version, build, task_queue, facts) values ($1, $2, $3, $4, $5, $6)
  on conflict (id) do update set seen_at = clock_timestamp(), version = excluded.version, build = excluded.build, facts = excluded.facts`;

function valuesOf(sign: ProcessSign): unknown[] {
  return [sign.id, sign.kind, sign.version, sign.build, sign.taskQueue, JSON.stringify(sign.facts)];
}

/** A process says that it works. */
export async function signProcess(pool: pg.Pool, sign: ProcessSign): Promise<void> {
  await pool.query({ name: 'sign-process', text: SIGN, values: valuesOf(sign) });
}

/** Workers, by what their rows say. */
export interface WorkersSeen {
  /** Of our task queue and namespace: they poll, Temporal answers them, and so do their workflow threads. */
  readonly working: number;
  /** They live and do not poll: mostly because Temporal does not answer them. */
  readonly waiting: number;
  /** They stand still, or were killed within the last ten minutes. */
  readonly silent: number;
  /** They work on another task queue or in another namespace. */
  readonly elsewhere: number;
}

/**
 * A process says that it works, and looks which workers do, in one statement. Signs are compared with the clock of the database only.
 * @param sign its fact `namespace`, and those of the workers, is the namespace of Temporal
 */
export async function signAndLook(pool: pg.Pool, sign: ProcessSign): Promise<WorkersSeen> {
  const { rows } = await pool.query<Row>({
    name: 'sign-and-look',
    text: `with signed as (${SIGN}),
        worker as (
          select seen_at < clock_timestamp() - make_interval(secs => $8::float8 / 1000) as silent,
            facts->>'polling' = 'true' and facts->>'temporal' = 'true' as works,
            task_queue = $5 and facts->>'namespace' = $7 as ours
          from process where kind = 'worker')
      select count(*) filter (where ours and works and not silent) as working,
        count(*) filter (where ours and works is not true and not silent) as waiting,
        count(*) filter (where ours and silent) as silent,
        count(*) filter (where ours is not true and not silent) as elsewhere
      from worker`,
    values: [...valuesOf(sign), sign.facts.namespace, SILENT_MS],
  });
  const row = rows[0] ?? {};
  return {
    working: integer(row, 'working'),
    waiting: integer(row, 'waiting'),
    silent: integer(row, 'silent'),
    elsewhere: integer(row, 'elsewhere'),
  };
}

/** A process leaves. */
export async function signOff(pool: pg.Pool, id: string): Promise<void> {
  await pool.query({ name: 'sign-off-process', text: 'delete from process where id = $1', values: [id] });
}

/** Deletes the rows of processes that are gone without a word. */
export async function forgetProcesses(pool: pg.Pool): Promise<void> {
  await pool.query({
    name: 'forget-processes',
    text: 'delete from process where seen_at < clock_timestamp() - make_interval(secs => $1::float8 / 1000)',
    values: [FORGOTTEN_MS],
  });
}

/** All processes that have a row, those that were seen last first. */
export async function listProcesses(pool: pg.Pool): Promise<SeenProcess[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-processes',
    text: `select id, kind, version, build, task_queue as "taskQueue", facts, started_at as "startedAt",
        (extract(epoch from clock_timestamp() - seen_at) * 1000)::bigint as "silentMs"
      from process order by seen_at desc, id limit 1000`,
  });
  return rows.map((row) => ({
    id: text(row, 'id'),
    kind: oneOf(row, 'kind', PROCESS_KINDS),
    version: text(row, 'version'),
    build: text(row, 'build'),
    taskQueue: text(row, 'taskQueue'),
    facts: object(row, 'facts'),
    startedAt: time(row, 'startedAt'),
    silentMs: integer(row, 'silentMs'),
  }));
}
