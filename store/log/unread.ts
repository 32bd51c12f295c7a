import type pg from 'pg';
import { MAX_UNREAD_CONVERSATIONS } from '../../domain/limits.ts';
import { type Row, flag, integer, onlyRow } from '../row.ts';

/** SQL of the unread count of `member m` in `conversation c` (invariant 7). */
export const UNREAD = 'unread_count(c.app_count, m.read_count, c.expired_count, c.increments, m.increments_base)';

/**
 * SQL of the read mark of `member m` in `conversation c`: equal as long as nothing moved it, no own increment changed the count, and
 * retention took no unread message.
 */
export const READ_MARK = "m.read_seq || ' ' || greatest(m.read_count, c.expired_count) || ' ' || m.increments_base";

/** Where a member stands in a conversation. */
export interface ReadState {
  /** {@link READ_MARK}, to be compared only. */
  readonly readMark: string;
  /** Read position: seq of the last entry that counts as read. */
  readonly seq: number;
  readonly unread: number;
}

/** What a user has not read, over all conversations that it is a member of. */
export interface UnreadTotals {
  /** Sum of the unread counts. */
  readonly total: number;
  /** Conversations with an unread count above 0. */
  readonly conversations: number;
  /** The user has more than `MAX_UNREAD_CONVERSATIONS`, and the others were not looked at. */
  readonly hasMore: boolean;
}

/** Adds up the unread counts of a user: one look-up by key for each of its conversations, up to a bound. */
export async function readUnreadTotals(pool: pg.Pool, user: string): Promise<UnreadTotals> {
  const { rows } = await pool.query<Row>({
    name: 'read-unread-totals',
    // In the order of the index, which names the order; `lateral` as in `listConversations`.
    text: `select coalesce(sum(u.unread), 0)::bigint as total, count(*) filter (where u.unread > 0) as conversations,
        count(*) > $2 as "hasMore"
      from (
        select case when m.left_seq is null and c.deleted_at is null then ${UNREAD} else 0 end as unread
        from member m cross join lateral (select * from conversation where key = m.conversation limit 1) c
        where m.user_id = $1 order by m.user_id, m.conversation limit $2::int + 1) u`,
    values: [user, MAX_UNREAD_CONVERSATIONS],
  });
  const row = onlyRow(rows, 'read-unread-totals');
  return { total: integer(row, 'total'), conversations: integer(row, 'conversations'), hasMore: flag(row, 'hasMore') };
}
