import type pg from 'pg';
import { type Row, flag, integer, orNull, text } from '../row.ts';

/** A session of the database that holds the row of a conversation, or waits for it. */
export interface RowLock {
  readonly pid: number;
  /** `application_name`. */
  readonly application: string | null;
  /** Role of the database. */
  readonly role: string | null;
  /** `active`, `idle in transaction` and so on; null = this role may not see it. */
  readonly state: string | null;
  /** Age of its transaction; milliseconds. */
  readonly transactionMs: number | null;
  /** True: it holds the row. False: it waits. */
  readonly holds: boolean;
}

/** Sessions of one answer. */
const MAX_LISTED = 50;

/**
 * Who holds the row of a conversation, and who waits for it. The statement reads the row without a lock, so it never waits.
 *
 * The holder stands in the row itself: `xmax` is its transaction, as long as that runs. Those who wait have a lock of the place of
 * the row, and `pg_blocking_pids` names whom they wait for: that also finds several holders, whose transactions the row cannot name.
 */
export async function listRowLocks(pool: pg.Pool, conversation: string): Promise<RowLock[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-row-locks',
    text: `with place as materialized (
        select tableoid, ctid::text::point as place, xmax from conversation where id = $1 limit 1
      ), locks as materialized (
        select locktype, pid, relation, page, tuple, transactionid, granted from pg_locks
        where locktype in ('tuple', 'transactionid')
      ), waits as materialized (
        select distinct l.pid from place p join locks l on l.locktype = 'tuple' and l.relation = p.tableoid
          and l.page = p.place[0]::int and l.tuple = p.place[1]::int
      ), holds as materialized (
        select l.pid from place p join locks l on l.locktype = 'transactionid' and l.granted and l.transactionid = p.xmax
        union select b.pid from waits w cross join lateral unnest(pg_blocking_pids(w.pid)) b (pid)
      )
      select a.pid, a.application_name as application, a.usename as role, a.state, h.pid is not null as holds,
        greatest(0, extract(epoch from clock_timestamp() - a.xact_start) * 1000)::bigint as "transactionMs"
      from (select pid from holds union select pid from waits) s
      join pg_stat_activity a on a.pid = s.pid
      left join holds h on h.pid = a.pid and h.pid not in (select pid from waits)
      order by holds desc, a.xact_start, a.pid limit $2`,
    values: [conversation, MAX_LISTED],
  });
  return rows.map((row) => ({
    pid: integer(row, 'pid'),
    application: orNull(text, row, 'application'),
    role: orNull(text, row, 'role'),
    state: orNull(text, row, 'state'),
    transactionMs: orNull(integer, row, 'transactionMs'),
    holds: flag(row, 'holds'),
  }));
}
