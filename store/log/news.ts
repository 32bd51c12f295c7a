import type pg from 'pg';
import { type Row, flag, integer, text } from '../row.ts';
import { existsByKey } from '../sql-fragments.ts';
import type { Cursor } from './log-items.ts';
import { READ_MARK, type ReadState, UNREAD } from './unread.ts';

/** How far one user's stream has delivered one conversation. */
export interface StreamPosition extends Omit<Cursor, 'seq'> {
  /** null = only whether the user left, or the conversation was deleted, is news. */
  readonly seq: number | null;
  readonly conversation: string;
  readonly user: string;
  /** The read mark that it has delivered; null = it delivers none. */
  readonly readMark: string | null;
}

/** What there is for one of the positions. */
export interface News {
  /** Place in the list of positions. */
  readonly index: number;
  /** Entries or changes after the position, or the log does not go on from there, or the user left, or the conversation was deleted. */
  readonly inLog: boolean;
  /** Where the user stands, if its read mark is another one. */
  readonly read?: ReadState;
}

/** Finds what lost notifications did not say: a few look-ups by key for each position. Positions without news are left out. */
export async function findNews(pool: pg.Pool, positions: readonly StreamPosition[]): Promise<News[]> {
  const { rows } = await pool.query<Row>({
    name: 'find-news',
    text: `select w.n - 1 as index, x.news, x.moved, m.read_seq as seq, ${READ_MARK} as "readMark", ${UNREAD} as unread
      from unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[]) with ordinality
        as w (id, seq, key, user_id, mark, read_mark, n)
      cross join lateral (select * from conversation where id = w.id limit 1) c
      left join lateral (select * from member where conversation = c.key and user_id = w.user_id limit 1) m on true
      cross join lateral (select coalesce(
        c.last_seq <> w.seq or position_mark(c.chain) <> w.mark or c.deleted_at is not null or m.left_seq is not null
          or ${existsByKey('change x where x.conversation = c.key and (x.seq, x.key) > (w.seq, w.key)')}, false) as news,
        coalesce(w.read_mark <> ${READ_MARK} and m.left_seq is null and c.deleted_at is null, false) as moved offset 0) x
      where x.news or x.moved`,
    values: [
      positions.map(({ conversation }) => conversation),
      positions.map(({ seq }) => seq),
      positions.map(({ key }) => key),
      positions.map(({ user }) => user),
      positions.map(({ mark }) => mark ?? null),
      positions.map(({ readMark }) => readMark),
    ],
  });
  return rows.map(parseNews);
}

function parseNews(row: Row): News {
  const news = { index: integer(row, 'index'), inLog: flag(row, 'news') };
  if (!flag(row, 'moved')) return news;
  return {
    ...news,
    read: { readMark: text(row, 'readMark'), seq: integer(row, 'seq'), unread: integer(row, 'unread') },
  };
}
