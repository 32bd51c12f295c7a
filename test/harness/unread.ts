import type pg from 'pg';
import { expect } from 'vitest';

/** The unread count of a member, as the tables have it (invariant 7). */
export async function unreadOf(pool: pg.Pool, conversation: string, user: string): Promise<number> {
  const { rows } = await pool.query<{ unread: number }>(
    `select c.app_count - m.read_count + c.increments - m.increments_base as unread
     from conversation c join member m on m.conversation = c.key where c.id = $1 and m.user_id = $2`,
    [conversation, user],
  );
  return rows[0]?.unread ?? expect.unreachable();
}
