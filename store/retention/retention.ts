import type pg from 'pg';
import { type Row, flag, object, onlyRow, text } from '../row.ts';

/**
 * One bounded step of the conversation's timer: deletes bodies, entries and Welcomes whose time is over. The rules:
 * docs/explanation/retention.md. The time of the next step is the conversation's fact `dueAt`.
 * @param now the workflow's clock, in milliseconds since 1970
 * @param limit most entries of one step: it holds the conversation's lock
 * @returns `changed`: streams have news. `undefined`: the conversation does not exist or is deleted
 */
export async function retain(
  pool: pg.Pool,
  conversation: string,
  now: number,
  limit: number,
): Promise<{ readonly changed: boolean } | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'retain',
    text: 'select retain($1, $2, $3) as step',
    values: [conversation, new Date(now), limit],
  });
  const row = onlyRow(rows, 'retain');
  return row.step === null ? undefined : { changed: flag(object(row, 'step'), 'changed') };
}

/**
 * Removes the rows of a deleted conversation: at most `limit` of each table.
 * @returns true when only the tombstone is left: the row that keeps the id from being used again
 */
export async function purgeDeleted(pool: pg.Pool, conversation: string, limit: number): Promise<boolean> {
  const { rows } = await pool.query<Row>({
    name: 'purge-deleted',
    text: 'select purge_deleted($1, $2) as done',
    values: [conversation, limit],
  });
  return flag(onlyRow(rows, 'purge-deleted'), 'done');
}

/** Ids of conversations whose timer has work at `now` (milliseconds since 1970), the longest waiting first. */
export async function listDue(pool: pg.Pool, now: number, limit: number): Promise<string[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-due',
    text: 'select id from conversation where due_at <= $1 order by due_at limit $2',
    values: [new Date(now), limit],
  });
  return rows.map((row) => text(row, 'id'));
}
