import type pg from 'pg';

/** Turns off the gaps between commits (store/commit/contention.sql): who commits at the pace of a test would meet them. */
export async function leaveNoGaps(pool: pg.Pool): Promise<void> {
  await pool.query(
    `create or replace function commit_gap_ms(c conversation, p_user text, p_removes text[]) returns int
     language sql as 'select null::int'`,
  );
}
