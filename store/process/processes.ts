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

/** A process that was silent for this long is gone: its row is deleted. */
const FORGOTTEN_MS = 24 * 3600_000;

/** A process says that it works. */
export async function signProcess(pool: pg.Pool, sign: ProcessSign): Promise<void> {
  await pool.query({
    name: 'sign-process',
    text: `insert into process (id, kind, version, build, task_queue, facts) values ($1, $2, $3, $4, $5, $6)
      on conflict (id) do update set seen_at = clock_timestamp(), version = excluded.version, build = excluded.build,
        facts = excluded.facts`,
    values: [sign.id, sign.kind, sign.version, sign.build, sign.taskQueue, JSON.stringify(sign.facts)],
  });
}

/** A process leaves. Rows of processes that are gone without a word go too. */
export async function signOff(pool: pg.Pool, id: string): Promise<void> {
  await pool.query({
    name: 'sign-off-process',
    text: `delete from process where id = $1 or seen_at < clock_timestamp() - make_interval(secs => $2::float8 / 1000)`,
    values: [id, FORGOTTEN_MS],
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
