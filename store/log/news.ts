import type pg from 'pg';
import { type Row, text } from '../row.ts';
import { existsByKey } from '../sql-fragments.ts';
import type { Cursor } from './log-items.ts';

/** How far one user's stream has delivered one conversation. */
export interface StreamPosition extends Omit<Cursor, 'seq'> {
  /** null = only whether the user left, or the conversation was deleted, is news. */
  readonly seq: number | null;
  readonly conversation: string;
  readonly user: string;
}

/**
 * Conversations with news for these streams: entries or changes after the position, or the log does not go on from there, or the
 * user left, or the conversation was deleted. A few look-ups by key for each position; finds what lost notifications did not say.
 * @returns ids of the conversations
 */
export async function findConversationsWithNews(
  pool: pg.Pool,
  positions: readonly StreamPosition[],
): Promise<string[]> {
  const { rows } = await pool.query<Row>({
    name: 'find-conversations-with-news',
    text: `select distinct w.id from unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[]) as w (id, seq, key, user_id, mark)
      cross join lateral (select * from conversation where id = w.id limit 1) c
      left join lateral (select * from member where conversation = c.key and user_id = w.user_id limit 1) m on true
      where c.last_seq <> w.seq or position_mark(c.chain) <> w.mark or c.deleted_at is not null or m.left_seq is not null
        or ${existsByKey('change x where x.conversation = c.key and (x.seq, x.key) > (w.seq, w.key)')}`,
    values: [
      positions.map(({ conversation }) => conversation),
      positions.map(({ seq }) => seq),
      positions.map(({ key }) => key),
      positions.map(({ user }) => user),
      positions.map(({ mark }) => mark ?? null),
    ],
  });
  return rows.map((row) => text(row, 'id'));
}
