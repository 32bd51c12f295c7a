import type pg from 'pg';
import { type Row, integer, onlyRow } from './row.ts';

/** A setting that operators can change at run time. */
export interface Setting {
  /** `undefined`: nobody has changed it. */
  readonly value: unknown;
  /** The clock of the database when it was read; milliseconds since 1970. */
  readonly databaseMs: number;
}

/** Reads a setting, and the clock of the database. */
export async function readSetting(pool: pg.Pool, name: string): Promise<Setting> {
  const { rows } = await pool.query<Row>({
    name: 'read-setting',
    text: `select (select value from setting where name = $1) as value, ${CLOCK}`,
    values: [name],
  });
  const row = onlyRow(rows, 'read-setting');
  return { value: row.value ?? undefined, databaseMs: milliseconds(row) };
}

/** Reads the clock of the database, for a process that reads nothing else regularly. */
export async function readClock(pool: pg.Pool): Promise<{ readonly databaseMs: number }> {
  const { rows } = await pool.query<Row>({ name: 'read-clock', text: `select ${CLOCK}` });
  return { databaseMs: milliseconds(onlyRow(rows, 'read-clock')) };
}

/** Microseconds: a bigint, which is exact. */
const CLOCK = '(extract(epoch from clock_timestamp()) * 1000000)::bigint as "clock"';

function milliseconds(row: Row): number {
  return integer(row, 'clock') / 1000;
}

/** Changes a setting for all processes. They see it with the next notification, or else with their next poll. */
export async function writeSetting(pool: pg.Pool, name: string, value: unknown): Promise<void> {
  await pool.query(
    `insert into setting (name, value) values ($1, $2)
     on conflict (name) do update set value = excluded.value, updated_at = clock_timestamp()`,
    [name, JSON.stringify(value)],
  );
}
