import type pg from 'pg';
import { type Row, integer, object, oneOf, text, texts } from '../row.ts';

/** What happened to a conversation beside its entries. Written by the deciding transaction. */
export type Change =
  | {
      readonly kind: 'added' | 'removed';
      /** Above `MAX_MEMBER_EVENTS` of them, only those whom the reader asked for. */
      readonly users: readonly string[];
      /** Number of users. */
      readonly count: number;
    }
  | { readonly kind: 'role'; readonly user: string; readonly role: 'admin' | 'member' }
  | { readonly kind: 'policy'; readonly policy: Row }
  | { readonly kind: 'welcome-expired'; readonly user: string; readonly device: string }
  /** So many Welcomes expired at once. */
  | { readonly kind: 'welcome-expired'; readonly count: number }
  /** The service wants leaves removed, and cannot propose it. No device = all leaves of the user. */
  | { readonly kind: 'removal-wanted'; readonly user: string; readonly device?: string }
  | { readonly kind: 'reset-open' }
  /** The body of this entry was deleted. */
  | { readonly kind: 'body-deleted'; readonly entry: number }
  | { readonly kind: 'superseded'; readonly successor: string }
  /** Written by a newer release, which knows more kinds. */
  | { readonly kind: 'unknown' };

/** A change at its place in the log: see `LogItem`. */
export interface ChangeItem {
  readonly type: 'change';
  /** Seq of the last entry before the change; 0 = at the creation. */
  readonly seq: number;
  /** Internal key, from 1; grows with time. */
  readonly key: number;
  readonly change: Change;
}

/** @param row {seq, key, kind, data} */
export function parseChangeItem(row: Row): ChangeItem {
  const change = parseChange(text(row, 'kind'), object(row, 'data'));
  return { type: 'change', seq: integer(row, 'seq'), key: integer(row, 'key'), change };
}

function parseChange(kind: string, data: Row): Change {
  switch (kind) {
    case 'added':
    case 'removed':
      return memberChange(kind, texts(data, 'users'), data);
    case 'role':
      return { kind, user: text(data, 'user'), role: oneOf(data, 'role', ['admin', 'member']) };
    case 'policy':
      return { kind, policy: object(data, 'policy') };
    case 'welcome-expired':
      if ('count' in data) return { kind, count: integer(data, 'count') };
      return { kind, user: text(data, 'user'), device: text(data, 'device') };
    case 'removal-wanted':
      return { kind, user: text(data, 'user'), ...('device' in data ? { device: text(data, 'device') } : {}) };
    case 'reset-open':
      return { kind };
    case 'body-deleted':
      return { kind, entry: integer(data, 'entry') };
    case 'superseded':
      return { kind, successor: text(data, 'successor') };
    default:
      return { kind: 'unknown' };
  }
}

function memberChange(kind: 'added' | 'removed', users: readonly string[], data: Row): Change {
  return { kind, users, count: 'count' in data ? integer(data, 'count') : users.length };
}

/** Users who were added to a conversation by one change. */
export interface Addition {
  /** Key of the change. */
  readonly key: number;
  readonly conversation: string;
  readonly users: readonly string[];
}

/** A change becomes visible when its transaction commits: at most this many seconds after the time in its row. */
const MAX_COMMIT_DELAY_S = 15;
/** Additions of one read. As many as this: there may be more. */
export const MAX_ADDITIONS = 1000;
/**
 * Entries before the notified seq that are searched too. When notifications of one conversation are merged, only the last
 * seq is sent. Two full batches.
 */
const LOOK_BACK_ENTRIES = 512;

/**
 * Recent additions to all conversations, the oldest first.
 * @param sinceS seconds since the last read that found everything
 * @param handled keys of additions to leave out
 */
export async function readAdditions(pool: pg.Pool, sinceS: number, handled: readonly number[]): Promise<Addition[]> {
  const { rows } = await pool.query<Row>({
    name: 'read-additions',
    text: `select x.key, c.id as conversation, x.data -> 'users' as users
      from change x
      cross join lateral (select id, deleted_at from conversation where key = x.conversation limit 1) c
      where x.kind = 'added' and x.at > statement_timestamp() - make_interval(secs => $2) and x.key <> all($1)
        and c.deleted_at is null
      order by x.at limit $3`,
    values: [handled, sinceS + MAX_COMMIT_DELAY_S, MAX_ADDITIONS],
  });
  return rows.map(parseAddition);
}

/** Additions to one conversation, near its entry `seq`. */
export async function readAdditionsTo(pool: pg.Pool, conversation: string, seq: number): Promise<Addition[]> {
  const { rows } = await pool.query<Row>({
    name: 'read-additions-to',
    text: `select x.key, c.id as conversation, x.data -> 'users' as users
      from (select id, key from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (
        -- offset 0 stops the planner from using the index on the additions of all conversations.
        select key, data from (select * from change where conversation = c.key and seq >= $2 offset 0) y
        where kind = 'added' order by seq, key limit $3) x`,
    values: [conversation, Math.max(0, seq - LOOK_BACK_ENTRIES), MAX_ADDITIONS],
  });
  return rows.map(parseAddition);
}

function parseAddition(row: Row): Addition {
  return { key: integer(row, 'key'), conversation: text(row, 'conversation'), users: texts(row, 'users') };
}
