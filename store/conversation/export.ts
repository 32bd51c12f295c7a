import type pg from 'pg';
import { ENTRY_KINDS, type EntryKind } from '../../domain/log-entry.ts';
import { MAX_PAGE_BYTES } from '../../domain/limits.ts';
import { type Row, bytes, integer, objects, oneOf, orNull, text, time } from '../row.ts';
import { withinBytes } from '../sql-fragments.ts';
import type { MembershipInterval } from './conversations.ts';

/** An entry of the log as it is stored. */
export interface ExportedEntry {
  readonly seq: number;
  readonly kind: EntryKind;
  readonly id: string;
  readonly epoch: number;
  /** Null: an application message of an `mls` conversation. */
  readonly sender: string | null;
  readonly sha256: Buffer;
  /** Null: retention took the bytes. */
  readonly ciphertext: Buffer | null;
  readonly at: Date;
}

/** Whoever is or was a member. */
export interface ExportedMember {
  readonly user: string;
  readonly role: 'admin' | 'member';
  readonly joinedSeq: number;
  readonly joinedEpoch: number;
  /** Last entry that a former member may read; null = is a member. */
  readonly leftSeq: number | null;
  readonly periods: readonly MembershipInterval[];
}

/**
 * Entries of the log for an export, in order of seq.
 * @param after seq after which they start
 * @param until seq of the last entry of the export
 * @param limit entries; they also end after `MAX_PAGE_BYTES` bytes
 */
export async function exportEntries(
  pool: pg.Pool,
  conversation: string,
  { after, until, limit }: { readonly after: number; readonly until: number; readonly limit: number },
): Promise<ExportedEntry[]> {
  const { rows } = await pool.query<Row>({
    name: 'export-entries',
    text: `select e.* from (select key from conversation where id = $1 limit 1) c cross join lateral (${withinBytes(
      `select e.seq, e.kind, e.message_id as id, e.epoch, e.sender, e.sha256, e.ciphertext, e.at from entry e
        where e.conversation = c.key and e.seq > $2 and e.seq <= $3 order by e.seq limit $4`,
      '$5',
    )}) e order by e.seq`,
    values: [conversation, after, until, limit, MAX_PAGE_BYTES],
  });
  return rows.map((row) => ({
    seq: integer(row, 'seq'),
    kind: oneOf(row, 'kind', ENTRY_KINDS),
    id: text(row, 'id'),
    epoch: integer(row, 'epoch'),
    sender: orNull(text, row, 'sender'),
    sha256: bytes(row, 'sha256'),
    ciphertext: orNull(bytes, row, 'ciphertext'),
    at: time(row, 'at'),
  }));
}

/** Members and former members, by user id. @param after user id after which the list starts; '' = from the first */
export async function exportMembers(
  pool: pg.Pool,
  conversation: string,
  after: string,
  limit: number,
): Promise<ExportedMember[]> {
  const { rows } = await pool.query<Row>({
    name: 'export-members',
    text: `select m.user_id as user, m.role, m.joined_seq as "joinedSeq", m.joined_epoch as "joinedEpoch", m.left_seq as "leftSeq",
        coalesce((select jsonb_agg(jsonb_build_object('from', p.from_seq)
            || case when p.to_seq is null then '{}' else jsonb_build_object('to', p.to_seq) end order by p.from_seq)
         from period p where p.conversation = m.conversation and p.user_id = m.user_id), '[]') as periods
      from (select key from conversation where id = $1 limit 1) c
      cross join lateral (
        select * from member where conversation = c.key and user_id > $2 order by conversation, user_id limit $3) m
      order by m.user_id`,
    values: [conversation, after, limit],
  });
  return rows.map((row) => ({
    user: text(row, 'user'),
    role: oneOf(row, 'role', ['admin', 'member']),
    joinedSeq: integer(row, 'joinedSeq'),
    joinedEpoch: integer(row, 'joinedEpoch'),
    leftSeq: orNull(integer, row, 'leftSeq'),
    periods: objects(row, 'periods').map((period) => ({
      from: integer(period, 'from'),
      ...('to' in period ? { to: integer(period, 'to') } : {}),
    })),
  }));
}

/** An export may be read for a day. */
const EXPORT_MS = 86_400_000;

/**
 * The last entry of an export that this operator began within `EXPORT_MS`. `key` is that of its row in the audit, so nothing is
 * exported without one.
 * @returns `undefined` when there is no such export
 */
export async function readExport(
  pool: pg.Pool,
  key: number,
  conversation: string,
  operator: string,
): Promise<number | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-export',
    text: `select (details ->> 'lastSeq')::bigint as "lastSeq" from audit
      where key = $1 and action = 'export' and conversation = $2 and actor = $3
        and at > clock_timestamp() - make_interval(secs => $4::float8 / 1000) limit 1`,
    values: [key, conversation, operator, EXPORT_MS],
  });
  const [row] = rows;
  return row === undefined ? undefined : integer(row, 'lastSeq');
}
