import type pg from 'pg';
import { MAX_PAGE_BYTES } from '../../domain/limits.ts';

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
export const ENTRY = `e.seq, e.kind, e.message_id as id, e.epoch, e.ciphertext, e.sender, e.at`;

/** Ends a page after `$n` bytes, whatever its limit: \`before\` = bytes of the rows before this one, \`found\` = rows there were. */
export const withinBytes = (rows: string, parameter: string, { bytes = 'ciphertext', by = 'seq' } = {}): string => `
  select x.* from (
    select e.*, count(*) over () as found,
      sum(octet_length(e.${bytes})) over (order by e.${by} rows between unbounded preceding and 1 preceding) as before
    from (${rows}) e
  ) x where coalesce(x.before, 0) < ${parameter}`;

/** `exists`, always by a look-up: the planner may else read the whole table once and hash it. */
export const isThere = (rows: string): string => `(select true from ${rows} limit 1) is not null`;

/** The horizon, as far as a former member may know of it: nothing tells it how the log went on (invariant 8). */
export const OLDEST = 'least(c.oldest_seq, coalesce(m.left_seq + 1, c.oldest_seq))';

/** Of {@link withinBytes}. */
export interface Found {
  readonly found: number;
}

/** Whether there is more: the limit or the byte limit ended the page. */
export function hasMore(rows: readonly (EntryRow & Found)[], limit: number, lastSeq: number): boolean {
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
  /** Entries before it are gone; for former members at most the one after their last. */
  readonly oldestSeq: number;
  /** Some of what is gone would have come next: nothing after it may be shown as if it were the next. */
  readonly truncated: boolean;
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
        ${OLDEST} as "oldestSeq", c.oldest_seq > 1 and exists (
          select from period p where p.conversation = c.key and p.user_id = m.user_id
            and (p.to_seq is null or p.to_seq > $3) and greatest(p.from_seq, $3::bigint + 1) < c.oldest_seq) as truncated,
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
    oldestSeq: first.oldestSeq,
    truncated: first.truncated,
  };
}
