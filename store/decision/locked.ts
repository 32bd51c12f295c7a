import type pg from 'pg';
import { type Row, text } from '../row.ts';

/**
 * Of these conversations those whose row somebody else has locked at this moment: a decision of another process, which ends
 * within milliseconds, or a session of an operator. The statement never waits, and gives back what it locks when it ends.
 * Conversations that do not exist are not locked.
 * @param conversations ids
 */
export async function lockedAmong(pool: pg.Pool, conversations: readonly string[]): Promise<Set<string>> {
  const { rows } = await pool.query<Row>({
    name: 'locked-among',
    // Looks first which there are: a row that another session inserts meanwhile must not count as locked.
    text: `with known as materialized (
        select c.key, c.id from (select distinct id from unnest($1::text[]) i (id)) i
        cross join lateral (select key, id from conversation where id = i.id limit 1) c
      ), free as materialized (
        select l.key from known k
        cross join lateral (
          select key from conversation where key = k.key limit 1 for no key update skip locked) l
      )
      select id from known where key not in (select key from free)`,
    values: [conversations],
  });
  return new Set(rows.map((row) => text(row, 'id')));
}
