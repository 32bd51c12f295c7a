import type pg from 'pg';
import { MAX_PAGE_BYTES } from '../../domain/limits.ts';
import type { ChangeRow } from './changes.ts';
import { ENTRY, type EntryRow, type Found, hasMore, isThere, withinBytes } from './entries.ts';

/**
 * What streams read: entries, and the changes that are told between them. A change of seq s comes after entry s, by key,
 * and before entry s + 1, because both are written under the conversation's lock.
 */

/** Everything up to here was told: entries up to `seq`, and changes of `seq` up to `key`. */
export interface Cursor {
  readonly seq: number;
  readonly key: number;
}

/** An entry, or a change; in the order in which it is told. */
export type LogItem =
  | { readonly seq: number; readonly key: 0; readonly entry: EntryRow; readonly change?: undefined }
  | { readonly seq: number; readonly key: number; readonly change: ChangeRow; readonly entry?: undefined };

/** Entries and changes in one order. Where either list was cut short, what comes after its end waits. */
function inOrder(
  entries: readonly EntryRow[],
  changes: readonly ChangeRow[],
  cut: { readonly entries: boolean; readonly changes: boolean },
): LogItem[] {
  const entriesEnd = cut.entries ? (entries.at(-1)?.seq ?? 0) : Infinity;
  const changesEnd = cut.changes ? (changes.at(-1)?.seq ?? 0) : Infinity;
  const items: LogItem[] = [];
  let next = 0;
  const tellChanges = (before: number): void => {
    for (let change = changes[next]; change !== undefined && change.seq < before; change = changes[++next]) {
      if (change.seq <= entriesEnd) items.push({ seq: change.seq, key: change.key, change });
    }
  };
  for (const entry of entries) {
    tellChanges(entry.seq);
    if (entry.seq <= changesEnd) items.push({ seq: entry.seq, key: 0, entry });
  }
  tellChanges(Infinity);
  return items;
}

/** Of a lateral that repeats for every entry, only the first row carries it: changes may name many users. */
const onFirstRow = (column: string): string => `case when row_number() over (order by e.seq) = 1 then ${column} end`;

const changesOf = (source: string): string => `
  select coalesce(jsonb_agg(jsonb_build_object('seq', x.seq, 'key', x.key, 'kind', x.kind, 'data', x.data)
    order by x.seq, x.key), '[]') as changes from (${source} order by x.seq, x.key limit $4) x`;

interface Rows extends Found {
  readonly changes: ChangeRow[] | null;
}

function itemsOf(
  rows: readonly (EntryRow & Rows)[],
  limit: number,
  lastSeq: number,
): { readonly items: LogItem[]; readonly more: boolean } {
  const entries = (rows[0]?.seq as number | null) === null ? [] : rows;
  const changes = rows[0]?.changes ?? [];
  const cut = { entries: hasMore(entries, limit, lastSeq), changes: changes.length === limit };
  return { items: inOrder(entries, changes, cut), more: cut.entries || cut.changes };
}

/** One stay of a user; without `to` it lasts. */
export interface Stay {
  readonly from: number;
  readonly to?: number;
}

/** What one user has yet to be told, with what decided that: all of one snapshot. */
export interface Stretch {
  readonly items: readonly LogItem[];
  /** There may be more after the last of them. */
  readonly more: boolean;
  /** Last entry of the log, or of what a former member may read. */
  readonly lastSeq: number;
  /** Set for former members. */
  readonly leftSeq: number | null;
  /** Entries before it are gone. */
  readonly oldestSeq: number;
  /** Some of what is gone would have come next. */
  readonly truncated: boolean;
  readonly protocol: 'mls' | 'opaque';
  /** Those that reach to the cursor or beyond, in order. */
  readonly stays: readonly Stay[];
  /** A Welcome of the user belongs to an entry after the cursor. */
  readonly welcomes: boolean;
}

/** The next stretch for one reader; `undefined` = the conversation does not exist for it. Bounds as in `readPage`. */
export async function readStretch(
  pool: pg.Pool,
  conversation: string,
  user: string,
  { seq, key }: Cursor,
  limit: number,
): Promise<Stretch | undefined> {
  const { rows } = await pool.query<EntryRow & Rows & Omit<Stretch, 'items' | 'more'>>({
    name: 'read-stretch',
    text: `select coalesce(m.left_seq, c.last_seq) as "lastSeq", m.left_seq as "leftSeq", c.oldest_seq as "oldestSeq",
        c.protocol, s.stays, s.truncated, ${onFirstRow('ch.changes')} as changes,
        ${isThere('welcome w where w.conversation = c.key and w.user_id = m.user_id and w.seq > $3')} as welcomes,
        e.*
      from (select * from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (select * from member where conversation = c.key and user_id = $2 limit 1) m
      cross join lateral (
        select coalesce(jsonb_agg(jsonb_build_object('from', p.from_seq)
            || case when p.to_seq is null then '{}' else jsonb_build_object('to', p.to_seq) end order by p.from_seq), '[]'
          ) as stays,
          coalesce(bool_or((p.to_seq is null or p.to_seq > $3) and greatest(p.from_seq, $3::bigint + 1) < c.oldest_seq),
            false) as truncated
        from period p
        where p.conversation = c.key and p.user_id = m.user_id and (p.to_seq is null or p.to_seq >= $3)) s
      cross join lateral (${changesOf(`
        select x.* from period p cross join lateral (
          select * from change x
          where x.conversation = p.conversation and (x.seq, x.key) > ($3::bigint, $6::bigint)
            and x.seq >= case p.from_seq when 1 then 0 else p.from_seq end
            and x.seq <= coalesce(p.to_seq, 9223372036854775807)
          order by x.seq, x.key limit $4
        ) x
        where p.conversation = c.key and p.user_id = m.user_id and (p.to_seq is null or p.to_seq >= $3)`)}) ch
      left join lateral (${withinBytes(
        `select e.* from period p cross join lateral (
          select ${ENTRY} from entry e
          where e.conversation = p.conversation and e.seq >= greatest(p.from_seq, $3::bigint + 1)
            and e.seq <= coalesce(p.to_seq, 9223372036854775807)
          order by e.seq limit $4
        ) e
        where p.conversation = c.key and p.user_id = m.user_id and (p.to_seq is null or p.to_seq > $3)
        order by e.seq limit $4`,
        '$5',
      )}) e on true
      order by e.seq`,
    values: [conversation, user, seq, limit, MAX_PAGE_BYTES, key],
  });
  const first = rows[0];
  if (first === undefined) return undefined;
  const { lastSeq, leftSeq, oldestSeq, truncated, protocol, stays, welcomes } = first;
  return { ...itemsOf(rows, limit, lastSeq), lastSeq, leftSeq, oldestSeq, truncated, protocol, stays, welcomes };
}

/** News of one watched conversation, with the end of reading of those watchers who lost it. */
export interface Tail {
  readonly items: readonly LogItem[];
  /** There may be more after the last of them. */
  readonly more: boolean;
  readonly lastSeq: number;
  /** Entries before it are gone. */
  readonly oldestSeq: number;
  readonly deleted: boolean;
  /** User -> last entry it may read. */
  readonly left: Readonly<Record<string, number>>;
  /** User -> first entry of its latest stay, of those who joined (again) after `after`. */
  readonly rejoined: Readonly<Record<string, number>>;
  /** A Welcome belongs to an entry after the cursor. */
  readonly welcomes: boolean;
}

/**
 * What came after a cursor, for the streams of this process, and which of the watching users are members no more: one
 * statement, one snapshot. `undefined` = no such conversation.
 */
export async function readTail(
  pool: pg.Pool,
  conversation: string,
  users: readonly string[],
  { seq, key }: Cursor,
  limit: number,
): Promise<Tail | undefined> {
  const { rows } = await pool.query<EntryRow & Rows & Omit<Tail, 'items' | 'more'>>({
    name: 'read-tail',
    text: `select c.last_seq as "lastSeq", c.oldest_seq as "oldestSeq", c.deleted_at is not null as deleted, coalesce((
          select jsonb_object_agg(m.user_id, m.left_seq) from member m
          where m.conversation = c.key and m.user_id = any($2) and m.left_seq is not null), '{}') as left,
        coalesce((select jsonb_object_agg(p.user_id, p.from_seq order by p.from_seq) from period p
          where p.conversation = c.key and p.user_id = any($2) and p.from_seq > $3), '{}') as rejoined,
        ${isThere('welcome_body b where b.conversation = c.key and b.seq > $3')} as welcomes,
        ${onFirstRow('ch.changes')} as changes, e.*
      from (select * from conversation where id = $1 limit 1) c
      cross join lateral (${changesOf(`
        select * from change x where x.conversation = c.key and (x.seq, x.key) > ($3::bigint, $6::bigint)`)}) ch
      left join lateral (${withinBytes(
        `select ${ENTRY} from entry e where e.conversation = c.key and e.seq > $3 order by e.seq limit $4`,
        '$5',
      )}) e on true
      order by e.seq`,
    values: [conversation, users, seq, limit, MAX_PAGE_BYTES, key],
  });
  const first = rows[0];
  if (first === undefined) return undefined;
  const { lastSeq, oldestSeq, deleted, left, rejoined, welcomes } = first;
  return { ...itemsOf(rows, limit, lastSeq), lastSeq, oldestSeq, deleted, left, rejoined, welcomes };
}

/** What a stream of one user has been told of one conversation. */
export interface Watched extends Cursor {
  readonly conversation: string;
  readonly user: string;
}

/**
 * Watched conversations that have something for their watchers: entries or changes after what was told, or a watcher who
 * left. A few key look-ups per pair; the safety net under lost notifications (design §5).
 */
export async function findStale(pool: pg.Pool, watched: readonly Watched[]): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>({
    name: 'find-stale',
    text: `select distinct w.id from unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[]) as w (id, seq, key, user_id)
      cross join lateral (select * from conversation where id = w.id limit 1) c
      left join lateral (select * from member where conversation = c.key and user_id = w.user_id limit 1) m on true
      where c.last_seq > w.seq or c.deleted_at is not null or m.left_seq is not null
        or ${isThere('change x where x.conversation = c.key and (x.seq, x.key) > (w.seq, w.key)')}`,
    values: [
      watched.map((w) => w.conversation),
      watched.map((w) => w.seq),
      watched.map((w) => w.key),
      watched.map((w) => w.user),
    ],
  });
  return rows.map((row) => row.id);
}
