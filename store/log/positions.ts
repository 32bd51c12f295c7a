import type pg from 'pg';
import { type Position, formatPosition } from '../../domain/position.ts';
import { type Row, integer, text } from '../row.ts';
import { PAGE_FACTS, type PageFacts, parsePageFacts } from './entries.ts';

/** Where a stream may start: what the log says of a position. */
export type LogStart = Pick<PageFacts, 'lastSeq' | 'oldestSeq' | 'restarted' | 'head'>;

/**
 * Judges a position without reading entries.
 * @returns `undefined` when the conversation does not exist for the user
 */
export async function readLogStart(
  pool: pg.Pool,
  conversation: string,
  user: string,
  { seq, mark }: Position,
): Promise<LogStart | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-log-start',
    text: `select ${PAGE_FACTS}, judge_position(c, m, $3, $4) as verdict, false as truncated
      from (select * from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (select * from member where conversation = c.key and user_id = $2 limit 1) m`,
    values: [conversation, user, seq, mark ?? null],
  });
  const [row] = rows;
  return row === undefined ? undefined : parsePageFacts(row);
}

/**
 * The greatest of some positions that the log has, as far as the user may read it.
 * @param positions with marks: those without are in no log
 * @returns `null`: it has none of them. `undefined`: the conversation does not exist for the user
 */
export async function findAgreed(
  pool: pg.Pool,
  conversation: string,
  user: string,
  positions: readonly Position[],
): Promise<string | null | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'find-agreed',
    text: `select g.seq, g.mark
      from (select * from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (select * from member where conversation = c.key and user_id = $2 limit 1) m
      left join lateral (
        select seq, mark from unnest($3::bigint[], $4::text[]) p (seq, mark)
        where judge_position(c, m, seq, mark) = 'equal' order by seq desc limit 1) g on true`,
    values: [conversation, user, positions.map(({ seq }) => seq), positions.map(({ mark }) => mark ?? null)],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  return row.seq === null ? null : formatPosition({ seq: integer(row, 'seq'), mark: text(row, 'mark') });
}
