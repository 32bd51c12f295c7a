import type pg from 'pg';
import type { LogEntry } from '../../domain/log-entry.ts';
import { type Row, integer } from '../row.ts';
import { ENTRY_COLUMNS, parseEntry } from './entries.ts';

/** An entry that was looked up by its id. */
export interface FoundEntry {
  readonly entry: LogEntry;
  /** Last entry of the log. For a former member: the last entry it may read. */
  readonly lastSeq: number;
}

/**
 * The entry with an id (at most one of a log has it), if the user may read it: inside one of its membership intervals, judged in the
 * snapshot that the entry is read in (invariant 8).
 * @returns `undefined` also when there is such an entry, and the user may not read it
 */
export async function findEntry(
  pool: pg.Pool,
  conversation: string,
  user: string,
  id: string,
): Promise<FoundEntry | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'find-entry',
    text: `select coalesce(m.left_seq, c.last_seq) as "lastSeq", ${ENTRY_COLUMNS}
      from (select * from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (select * from member where conversation = c.key and user_id = $2 limit 1) m
      cross join lateral (select * from entry where conversation = c.key and message_id = $3 limit 1) e
      cross join lateral (
        select from (
          select * from period
          where conversation = c.key and user_id = m.user_id and from_seq <= e.seq order by from_seq desc limit 1) p
        where p.to_seq is null or p.to_seq >= e.seq) readable`,
    values: [conversation, user, id],
  });
  const [row] = rows;
  return row === undefined ? undefined : { entry: parseEntry(row), lastSeq: integer(row, 'lastSeq') };
}
