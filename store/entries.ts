import type pg from 'pg';
import { MAX_PAGE_BYTES } from '../domain/limits.ts';

export type EntryKind = 'application' | 'commit' | 'proposal';

/** One entry of the log. `ciphertext` is null once retention took it. */
export interface EntryRow {
  readonly seq: number;
  readonly kind: EntryKind;
  readonly id: string;
  readonly epoch: number;
  readonly ciphertext: Buffer | null;
  readonly sender: string | null;
  readonly at: Date;
}

// In this folder `limit 1` stands in every look-up by key that a join uses: among tiny tables the planner may else walk
// through a whole index in the order of the join, and keep that plan when the tables have grown.
const ENTRY = `e.seq, e.kind, e.message_id as id, e.epoch, e.ciphertext, e.sender, e.at`;

/** Ends a page after `$n` bytes, whatever its limit: \`before\` = bytes of the entries before this one, \`found\` = rows there were. */
const withinBytes = (entries: string, parameter: string): string => `
  select x.* from (
    select e.*, count(*) over () as found,
      sum(octet_length(e.ciphertext)) over (order by e.seq rows between unbounded preceding and 1 preceding) as before
    from (${entries}) e
  ) x where coalesce(x.before, 0) < ${parameter}`;

interface Found {
  readonly found: number;
}

/** Whether there is more: the limit or the byte limit ended the page. */
function hasMore(rows: readonly (EntryRow & Found)[], limit: number, lastSeq: number): boolean {
  const last = rows.at(-1);
  if (last === undefined) return false;
  return rows.length < last.found || (rows.length === limit && last.seq < lastSeq);
}

/** A page as one user may read it, with what decided that: all of one snapshot. */
export interface Page {
  readonly entries: EntryRow[];
  /** There may be more after the last of them. */
  readonly more: boolean;
  /** Last entry of the log, or of what a former member may read. */
  readonly lastSeq: number;
  /** Set for former members. */
  readonly leftSeq: number | null;
  /** First entry that the user may read. */
  readonly firstSeq: number;
}

/**
 * Entries after `after` that the user may read, in order of seq; `undefined` = the conversation does not exist for it.
 * Membership and rows are read in one statement (one snapshot), one index range per stay: a removed member can never get
 * an entry after its removal (invariants 5 and 8).
 * @param limit at most this many entries, and no more bytes than a page may have
 */
export async function readPage(
  pool: pg.Pool,
  conversation: string,
  user: string,
  after: number,
  limit: number,
  kind?: EntryKind,
): Promise<Page | undefined> {
  // An equality on `kind` lets the handshake index answer where application entries are in the majority.
  const filter =
    kind === undefined
      ? ''
      : kind === 'application'
        ? `and e.kind = 'application'`
        : `and e.kind = '${kind}' and e.kind <> 'application'`;
  const { rows } = await pool.query<EntryRow & Found & Omit<Page, 'entries' | 'more'>>({
    name: `read-page-${kind ?? 'all'}`,
    text: `select coalesce(m.left_seq, c.last_seq) as "lastSeq", m.left_seq as "leftSeq",
        (select min(p.from_seq) from period p where p.conversation = c.key and p.user_id = m.user_id) as "firstSeq",
        e.*
      from (select * from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (select * from member where conversation = c.key and user_id = $2 limit 1) m
      left join lateral (${withinBytes(
        `select e.* from period p cross join lateral (
          select ${ENTRY} from entry e
          where e.conversation = p.conversation and e.seq >= greatest(p.from_seq, $3::bigint + 1)
            and e.seq <= coalesce(p.to_seq, 9223372036854775807) ${filter}
          order by e.seq limit $4
        ) e
        where p.conversation = c.key and p.user_id = m.user_id and (p.to_seq is null or p.to_seq > $3)
        order by e.seq limit $4`,
        '$5',
      )}) e on true
      order by e.seq`,
    values: [conversation, user, after, limit, MAX_PAGE_BYTES],
  });
  const first = rows[0];
  if (first === undefined) return undefined;
  const entries = (first.seq as number | null) === null ? [] : rows;
  return {
    entries,
    more: hasMore(entries, limit, first.lastSeq),
    lastSeq: first.lastSeq,
    leftSeq: first.leftSeq,
    firstSeq: first.firstSeq,
  };
}

/** New entries of one watched conversation, with the end of reading of those watchers who lost it. */
export interface Tail {
  readonly entries: EntryRow[];
  /** There may be more after the last of them. */
  readonly more: boolean;
  readonly lastSeq: number;
  readonly deleted: boolean;
  /** User -> last entry it may read. */
  readonly left: Readonly<Record<string, number>>;
  /** Watching users who joined (again) later than right after `after`: what they may read has a gap. */
  readonly rejoined: readonly string[];
}

/**
 * Entries after `after` for the streams of this process, and which of the watching users are members no more: one
 * statement, one snapshot. `undefined` = no such conversation.
 */
export async function readTail(
  pool: pg.Pool,
  conversation: string,
  users: readonly string[],
  after: number,
  limit: number,
): Promise<Tail | undefined> {
  const { rows } = await pool.query<EntryRow & Found & Omit<Tail, 'entries' | 'more'>>({
    name: 'read-tail',
    text: `select c.last_seq as "lastSeq", c.deleted_at is not null as deleted, coalesce((
          select jsonb_object_agg(m.user_id, m.left_seq) from member m
          where m.conversation = c.key and m.user_id = any($2) and m.left_seq is not null), '{}') as left,
        array(select p.user_id from period p
          where p.conversation = c.key and p.user_id = any($2) and p.from_seq > $3 + 1) as rejoined,
        e.*
      from (select * from conversation where id = $1 limit 1) c
      left join lateral (${withinBytes(
        `select ${ENTRY} from entry e where e.conversation = c.key and e.seq > $3 order by e.seq limit $4`,
        '$5',
      )}) e on true
      order by e.seq`,
    values: [conversation, users, after, limit, MAX_PAGE_BYTES],
  });
  const first = rows[0];
  if (first === undefined) return undefined;
  const { lastSeq, deleted, left, rejoined } = first;
  const entries = (first.seq as number | null) === null ? [] : rows;
  return { entries, more: hasMore(entries, limit, lastSeq), lastSeq, deleted, left, rejoined };
}

/**
 * Watched conversations that have something for their watchers: entries after what was seen, or a watcher who left.
 * One key look-up per pair; the safety net under lost notifications (design §5).
 */
export async function findStale(
  pool: pg.Pool,
  watched: readonly { readonly conversation: string; readonly seq: number; readonly user: string }[],
): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>({
    name: 'find-stale',
    text: `select distinct w.id from unnest($1::text[], $2::bigint[], $3::text[]) as w (id, seq, user_id)
      cross join lateral (select * from conversation where id = w.id limit 1) c
      left join lateral (select * from member where conversation = c.key and user_id = w.user_id limit 1) m on true
      where c.last_seq > w.seq or c.deleted_at is not null or m.left_seq is not null`,
    values: [watched.map((w) => w.conversation), watched.map((w) => w.seq), watched.map((w) => w.user)],
  });
  return rows.map((row) => row.id);
}
