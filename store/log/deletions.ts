import type pg from 'pg';
import { type Row, flag, integer, objects } from '../row.ts';
import type { Cursor } from './log-items.ts';

/** Deleted bodies, in the order in which they were deleted. */
export interface Deletions {
  /** Seqs of the entries. */
  readonly entries: readonly number[];
  /** There may be more after this place. */
  readonly next?: Cursor;
}

/**
 * Bodies that were deleted after a place in the log, as far as the user may read there: for devices that follow no stream. A look at
 * the changes after that place.
 * @param limit deletions
 * @returns `undefined` when the conversation does not exist for the user
 */
export async function readDeletions(
  pool: pg.Pool,
  conversation: string,
  user: string,
  after: Cursor,
  limit: number,
): Promise<Deletions | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-deletions',
    text: `select coalesce(jsonb_agg(jsonb_build_object('seq', x.seq, 'key', x.key, 'entry', x.data -> 'entry')
          order by x.seq, x.key) filter (where x.key is not null), '[]') as deletions, count(x.key) = $5 as full
      from (select * from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (select * from member where conversation = c.key and user_id = $2 limit 1) m
      left join lateral (
        select x.seq, x.key, x.data from period p cross join lateral (
          select * from change x
          where x.conversation = p.conversation and (x.seq, x.key) > ($3::bigint, $4::bigint) and x.kind = 'body-deleted'
            and x.seq >= p.from_seq and x.seq <= coalesce(p.to_seq, 9223372036854775807)
          order by x.seq, x.key limit $5) x
        where p.conversation = c.key and p.user_id = m.user_id and (p.to_seq is null or p.to_seq >= $3)
        order by x.seq, x.key limit $5) x on true
      group by c.key`,
    values: [conversation, user, after.seq, after.key, limit],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  const found = objects(row, 'deletions');
  const last = found.at(-1);
  const entries = found.map((one) => integer(one, 'entry'));
  if (last === undefined || !flag(row, 'full')) return { entries };
  return { entries, next: { seq: integer(last, 'seq'), key: integer(last, 'key') } };
}
