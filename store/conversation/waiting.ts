import type pg from 'pg';
import { type Row, integer, orNull } from '../row.ts';

/** What of a conversation waits in the database for a decision. Counts end at `MAX_COUNTED`. */
export interface WaitingRows {
  /** Staged operations. */
  readonly staged: number;
  /** Age of the oldest; milliseconds. Null = none is staged. */
  readonly oldestStagedMs: number | null;
  /** Increments that were answered and are not counted yet. */
  readonly increments: number;
  readonly admins: number;
}

/** Counts of large numbers cost time, and say no more than "very many". */
export const MAX_COUNTED = 1000;

/** Reads what waits for a decision. @returns `undefined` when there is no such conversation */
export async function readWaiting(pool: pg.Pool, conversation: string): Promise<WaitingRows | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-waiting',
    text: `select
        (select count(*)::int from (select from staged where conversation = c.key limit $2) s) as staged,
        (select (extract(epoch from clock_timestamp() - at) * 1000)::bigint
          from staged where conversation = c.key order by conversation, at limit 1) as "oldestStagedMs",
        (select count(*)::int from (select from pending_increment where conversation = c.key limit $2) p) as increments,
        (select count(*)::int from (
          select from member where conversation = c.key and role = 'admin' and left_seq is null limit $2) m) as admins
      from (select key from conversation where id = $1 limit 1) c`,
    values: [conversation, MAX_COUNTED],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    staged: integer(row, 'staged'),
    oldestStagedMs: orNull(integer, row, 'oldestStagedMs'),
    increments: integer(row, 'increments'),
    admins: integer(row, 'admins'),
  };
}
