import type pg from 'pg';
import { type Row, flag, integer, onlyRow, orNull, text, time } from '../row.ts';
import { isForbidden } from '../sqlstate.ts';

/** The branch of its history that the database is on. After a restore it is another one. */
export interface Incarnation {
  /** UUID. Devices compare it with the one they saw last. */
  readonly id: string;
  readonly since: Date;
}

/** Why an incarnation ended. */
export type RaiseReason = 'restored' | 'moved' | 'wal-shorter';

/** What one look at the database showed. */
export interface IncarnationLook extends Incarnation {
  /** The database is on another timeline, server or database than at the look before. */
  readonly moved: boolean;
  /** It was never looked at: its place has to be noted. */
  readonly isNew: boolean;
  /** End of the durable WAL, bytes; null = the server does not say it, or it is a standby. */
  readonly flushed: number | null;
  /** It is a standby: nothing can be written. */
  readonly isStandby: boolean;
}

/** Names the server, the branch of its WAL, and the database: a dump that is restored on the same server is another database. */
const PLACE = `select (select system_identifier from pg_control_system()) as system_identifier,
    case when not pg_is_in_recovery()
      then ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::bigint end as timeline_id,
    case when not pg_is_in_recovery() then (pg_current_wal_flush_lsn() - '0/0')::bigint end as flushed,
    ${oid()} as database_oid`;
/** What everybody may read. Some providers keep the rest from the roles of their customers. */
const READABLE_PLACE = `select null::bigint as system_identifier, null::bigint as timeline_id, null::bigint as flushed, ${oid()} as database_oid`;

function oid(): string {
  return '(select oid::bigint from pg_database where datname = current_database())';
}

/** Reads and ends incarnations. */
export interface Incarnations {
  /** Looks whether the database is where it was. */
  readonly look: () => Promise<IncarnationLook>;
  /** Notes where the database is, at the first look. */
  readonly note: (id: string) => Promise<void>;
  /**
   * Ends an incarnation: the next one begins where the database is now. It stands in the audit trail.
   * @param id the one to end; of several processes that see the same only the first ends it. Absent = whichever it is
   * @param actor user id of the operator, or `service`
   * @returns `undefined`: another process was first
   */
  readonly raise: (reason: RaiseReason, actor: string, id?: string) => Promise<Incarnation | undefined>;
  /** Whether the server says where the database is. Otherwise only the operator's command ends an incarnation, or a new database. */
  readonly canNotice: () => boolean;
}

export function makeIncarnations(pool: pg.Pool): Incarnations {
  let isAllowed = true;
  const query = async (name: string, sql: (place: string) => string, values: unknown[] = []): Promise<Row[]> => {
    if (isAllowed) {
      try {
        return (await pool.query<Row>({ name, text: sql(PLACE), values })).rows;
      } catch (error) {
        if (!isForbidden(error)) throw error;
        isAllowed = false;
      }
    }
    return (await pool.query<Row>({ name: `${name}-readable`, text: sql(READABLE_PLACE), values })).rows;
  };
  return {
    look: async () => {
      const rows = await query(
        'look-at-incarnation',
        (place) => `select i.id, i.since, p.flushed, pg_is_in_recovery() as "isStandby",
          i.database_oid is null as "isNew",
          coalesce(i.system_identifier <> p.system_identifier, false) or coalesce(i.timeline_id <> p.timeline_id, false)
            or coalesce(i.database_oid <> p.database_oid, false) as moved
          from incarnation i cross join (${place}) p`,
      );
      const row = onlyRow(rows, 'look-at-incarnation');
      return {
        ...parse(row),
        moved: flag(row, 'moved'),
        isNew: flag(row, 'isNew'),
        flushed: orNull(integer, row, 'flushed'),
        isStandby: flag(row, 'isStandby'),
      };
    },
    note: async (id) => {
      await query(
        'note-incarnation',
        (place) => `update incarnation i set system_identifier = p.system_identifier, timeline_id = p.timeline_id,
            database_oid = p.database_oid
          from (${place}) p where i.id = $1 and i.database_oid is null`,
        [id],
      );
    },
    raise: async (reason, actor, id) => {
      const [row] = await query(
        'raise-incarnation',
        (place) => `with old as (select id from incarnation where id = coalesce($1::uuid, id) for update),
            raised as (
              update incarnation i set id = gen_random_uuid(), since = clock_timestamp(),
                system_identifier = p.system_identifier, timeline_id = p.timeline_id, database_oid = p.database_oid
              from old, (${place}) p where i.id = old.id returning i.id, i.since, old.id as before),
            noted as (
              insert into audit (actor, action, details)
              select $3, 'incarnation', jsonb_build_object('reason', $2::text, 'from', before, 'to', id) from raised)
          select id, since from raised`,
        [id ?? null, reason, actor],
      );
      return row === undefined ? undefined : parse(row);
    },
    canNotice: () => isAllowed,
  };
}

function parse(row: Row): Incarnation {
  return { id: text(row, 'id'), since: time(row, 'since') };
}
