import type pg from 'pg';
import { type Row, flag, integer, onlyRow, orNull, text } from '../row.ts';

/** How the database is, as far as a role without special rights sees it. */
export interface DatabaseState {
  readonly version: string;
  /** Of all databases of the server. */
  readonly connections: number;
  readonly maxConnections: number;
  /** Sessions of this database that wait for a lock. */
  readonly waitingForLocks: number;
  /** Standbys that follow now. */
  readonly standbys: number;
  /** Whether a commit waits for a standby: then a failover loses nothing that was acknowledged. */
  readonly waitsForStandby: boolean;
  /** The oldest transaction of this database; null = none runs. `pid` and `application` are those of its session. */
  readonly oldestTransaction: {
    readonly ms: number;
    readonly pid: number;
    readonly application: string;
    readonly state: string;
  } | null;
  /** Conversations whose timer is late by more than `OVERDUE_MS`; counted up to `MAX_COUNTED`. */
  readonly overdue: number;
}

/** The sweep wakes within a minute; a run that is busy takes a little longer. */
const OVERDUE_MS = 5 * 60_000;
const MAX_COUNTED = 1000;

/** Reads the state of the database: one statement that locks nothing. */
export async function readDatabaseState(pool: pg.Pool): Promise<DatabaseState> {
  const { rows } = await pool.query<Row>({
    name: 'database-state',
    text: `with a as materialized (
        select pid, datname, coalesce(backend_type, 'client backend') as backend_type, application_name, state, xact_start, wait_event_type
          from pg_stat_activity
      ), oldest as (
        select pid, application_name, state, (extract(epoch from clock_timestamp() - xact_start) * 1000)::bigint as ms
        from a where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()
          and backend_type = 'client backend'
        order by xact_start limit 1
      )
      select current_setting('server_version') as version, current_setting('max_connections')::int as "maxConnections",
        (select count(*)::int from a where backend_type = 'client backend') as connections,
        (select count(*)::int from pg_stat_replication) as standbys,
        current_setting('synchronous_standby_names') <> '' and current_setting('synchronous_commit') not in ('off', 'local') as "waitsForStandby",
        (select count(*)::int from a where datname = current_database() and wait_event_type = 'Lock') as "waitingForLocks",
        (select count(*)::int from (
          select from conversation where due_at <= clock_timestamp() - make_interval(secs => $1::float8 / 1000) limit $2) d) as overdue,
        o.pid as "oldestPid", coalesce(o.application_name, '') as "oldestApplication", coalesce(o.state, 'unknown') as "oldestState",
        o.ms as "oldestMs"
      from (select 1) one left join oldest o on true`,
    values: [OVERDUE_MS, MAX_COUNTED],
  });
  const row = onlyRow(rows, 'database-state');
  const pid = orNull(integer, row, 'oldestPid');
  return {
    version: text(row, 'version'),
    connections: integer(row, 'connections'),
    maxConnections: integer(row, 'maxConnections'),
    waitingForLocks: integer(row, 'waitingForLocks'),
    standbys: integer(row, 'standbys'),
    waitsForStandby: flag(row, 'waitsForStandby'),
    oldestTransaction:
      pid === null
        ? null
        : {
            pid,
            ms: integer(row, 'oldestMs'),
            application: text(row, 'oldestApplication'),
            state: text(row, 'oldestState'),
          },
    overdue: integer(row, 'overdue'),
  };
}
