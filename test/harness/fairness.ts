import type pg from 'pg';

/** Turns off the backoff between commits (store/commit/contention.sql): commits at the pace of a test would have to wait. */
export async function leaveNoGaps(pool: pg.Pool): Promise<void> {
  await pool.query(
    `create or replace function commit_backoff_refusal(p_conversation bigint, p_user text, p_removes text[]) returns jsonb
     language sql as 'select null::jsonb'`,
  );
}
