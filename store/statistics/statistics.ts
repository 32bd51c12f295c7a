import type pg from 'pg';
import type { DatabaseLook } from '../../domain/database-look.ts';
import { type Row, flag, integer, onlyRow, text } from '../row.ts';

/** What changes from second to second. */
export type Statistics = Omit<DatabaseLook, keyof Sizes>;
/** How much is stored. */
export type Sizes = Pick<DatabaseLook, 'databaseBytes' | 'xidAge' | 'liveRows' | 'deadRows'>;

/** What is counted is bounded, so that a look costs the same in a large database. */
const MOST_OVERDUE = 1000;
const MOST_PENDING = 10_000;

/** A quick look: a statement of about a millisecond. */
export async function readStatistics(pool: pg.Pool): Promise<Statistics> {
  const { rows } = await pool.query<Row>({
    name: 'read-statistics',
    text: `select a.*, o.*, p.*,
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as "connectionsLimit",
        d.xact_commit as commits, d.xact_rollback as rollbacks, d.deadlocks,
        d.blks_hit as "blocksFromCache", d.blks_read as "blocksFromDisk",
        (select wal_bytes::bigint from pg_stat_wal) as "walBytes",
        coalesce((select (extract(epoch from max(replay_lag)) * 1000)::bigint from pg_stat_replication), 0) as "replicationLagMs",
        coalesce((select indisvalid and indisunique from pg_index where indexrelid = to_regclass('entry_commit_epoch')), false)
          as "hasEpochGuard"
      from pg_stat_database d
      cross join (
        select count(*) filter (where state = 'active') as active,
          count(*) filter (where state = 'idle') as idle,
          count(*) filter (where state like 'idle in transaction%') as "inTransaction",
          count(*) filter (where state is null or state not in ('active', 'idle') and state not like 'idle in transaction%')
            as other,
          count(*) filter (where wait_event_type = 'Lock') as "lockWaits",
          coalesce((extract(epoch from clock_timestamp() - min(xact_start)) * 1000)::bigint, 0) as "oldestTransactionMs"
        from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()) a
      cross join (
        select count(*) as overdue, coalesce((extract(epoch from clock_timestamp() - min(due_at)) * 1000)::bigint, 0) as "overdueMs"
        from (select due_at from conversation where due_at < clock_timestamp() order by due_at limit ${MOST_OVERDUE}) due) o
      cross join (
        select count(*) as pending, coalesce((extract(epoch from clock_timestamp() - min(at)) * 1000)::bigint, 0) as "pendingMs"
        from (select at from pending_increment order by at limit ${MOST_PENDING}) waiting) p
      where d.datname = current_database()`,
  });
  const row = onlyRow(rows, 'read-statistics');
  return {
    connections: new Map([
      ['active', integer(row, 'active')],
      ['idle', integer(row, 'idle')],
      ['idle-in-transaction', integer(row, 'inTransaction')],
      ['other', integer(row, 'other')],
    ]),
    connectionsLimit: integer(row, 'connectionsLimit'),
    oldestTransactionMs: integer(row, 'oldestTransactionMs'),
    lockWaits: integer(row, 'lockWaits'),
    replicationLagMs: integer(row, 'replicationLagMs'),
    commits: integer(row, 'commits'),
    rollbacks: integer(row, 'rollbacks'),
    deadlocks: integer(row, 'deadlocks'),
    blocksFromCache: integer(row, 'blocksFromCache'),
    blocksFromDisk: integer(row, 'blocksFromDisk'),
    walBytes: integer(row, 'walBytes'),
    hasEpochGuard: flag(row, 'hasEpochGuard'),
    overdue: integer(row, 'overdue'),
    overdueMs: integer(row, 'overdueMs'),
    pendingIncrements: integer(row, 'pending'),
    pendingIncrementsMs: integer(row, 'pendingMs'),
  };
}

/** Looks at every file of the database: seldom. */
export async function readSizes(pool: pg.Pool): Promise<Sizes> {
  const [database, tables] = await Promise.all([
    pool.query<Row>({
      name: 'read-database-size',
      text: `select pg_database_size(current_database()) as bytes, age(datfrozenxid) as "xidAge"
        from pg_database where datname = current_database()`,
    }),
    pool.query<Row>({
      name: 'read-table-sizes',
      text: `select relname as name, n_live_tup as live, n_dead_tup as dead
        from pg_stat_user_tables where schemaname = current_schema()`,
    }),
  ]);
  const row = onlyRow(database.rows, 'read-database-size');
  const byTable = (key: 'live' | 'dead'): Map<string, number> =>
    new Map(tables.rows.map((table) => [text(table, 'name'), integer(table, key)]));
  return {
    databaseBytes: integer(row, 'bytes'),
    xidAge: integer(row, 'xidAge'),
    liveRows: byTable('live'),
    deadRows: byTable('dead'),
  };
}
