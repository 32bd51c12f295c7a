import type pg from 'pg';
import { ENTRY_KINDS, type EntryKind, type LogEntry } from '../../domain/log-entry.ts';
import { MAX_KEY_PACKAGE_BYTES, MAX_PAGE_BYTES } from '../../domain/limits.ts';
import { type Row, bytes, flag, integer, oneOf, orNull, text, time } from '../row.ts';
import { type Position, positionAt } from '../../domain/position.ts';
import { withinBytes } from '../sql-fragments.ts';

/** Columns of `entry e` that {@link parseEntry} reads. */
export const ENTRY_COLUMNS = entryColumns('e.ciphertext');

/** The same. @param ciphertext SQL of the bytes */
export function entryColumns(ciphertext: string): string {
  return `e.seq, e.kind, e.message_id as id, e.epoch, ${ciphertext} as ciphertext, e.sender, e.at, e.sha256, e.chain, e.deleted as "isDeleted"`;
}

/** @param row {@link ENTRY_COLUMNS}, and perhaps `chainBefore` */
export function parseEntry(row: Row): LogEntry {
  const chainBefore = row.chainBefore === undefined ? null : orNull(bytes, row, 'chainBefore');
  return {
    seq: integer(row, 'seq'),
    kind: oneOf(row, 'kind', ENTRY_KINDS),
    id: text(row, 'id'),
    epoch: integer(row, 'epoch'),
    ciphertext: orNull(bytes, row, 'ciphertext'),
    isDeleted: flag(row, 'isDeleted'),
    sender: orNull(text, row, 'sender'),
    at: time(row, 'at'),
    sha256: bytes(row, 'sha256'),
    chain: orNull(bytes, row, 'chain'),
    ...(chainBefore === null ? {} : { chainBefore }),
  };
}

/**
 * Entries of a read in which each row holds facts about the conversation, and one entry of {@link withinBytes}.
 * @param rows at least one; without entries there is one row, whose entry columns are null
 * @param limit entries of the read
 * @param lastSeq last entry that the reader may get
 * @returns `more`: the limit or the byte limit ended the read, so there may be more entries
 */
export function parseEntries(
  rows: readonly Row[],
  limit: number,
  lastSeq: number,
): { readonly entries: readonly LogEntry[]; readonly more: boolean } {
  const [first] = rows;
  if (first === undefined || first.seq === null) return { entries: [], more: false };
  const entries = rows.map(parseEntry);
  const last = entries.at(-1);
  const endedAtBytes = entries.length < integer(first, 'found');
  const endedAtLimit = entries.length === limit && last !== undefined && last.seq < lastSeq;
  return { entries, more: endedAtBytes || endedAtLimit };
}

/** A column of `entry e` in the interval `p`: the value of the chain before the first entry that comes after $3. */
export const CHAIN_BEFORE = `case when e.seq = greatest(p.from_seq, $3::bigint + 1) then chain_at(c, e.seq - 1) end as "chainBefore"`;

/**
 * SQL of the entries of `conversation c` that `member m` may read (invariant 8): one index range for each membership interval.
 * The first of each block has the value of the chain before it.
 * Parameters: $3 the seq (entries after it), $4 the limit of entries, $5 the limit of bytes.
 * @param filter a further condition on `entry e`, from `and` on
 */
export function readableEntries(filter = ''): string {
  return withinBytes(
    `select e.* from period p cross join lateral (
      select ${ENTRY_COLUMNS}, ${CHAIN_BEFORE} from entry e
      where e.conversation = p.conversation and e.seq >= greatest(p.from_seq, $3::bigint + 1)
        and e.seq <= coalesce(p.to_seq, 9223372036854775807) ${filter}
      order by e.seq limit $4
    ) e
    where p.conversation = c.key and p.user_id = m.user_id and (p.to_seq is null or p.to_seq > $3)
    order by e.seq limit $4`,
    '$5',
  );
}

/** SQL condition on `entry e`, from `and` on, for the entries of one kind. */
export function kindFilter(kind: EntryKind | undefined): string {
  if (kind === undefined) return '';
  // The index on handshake entries excludes 'application': the planner uses it only when the condition says so too.
  return kind === 'application' ? `and e.kind = 'application'` : `and e.kind = '${kind}' and e.kind <> 'application'`;
}

/** A page as one user may read it, and the facts that decide so: all from one snapshot. */
export interface Page {
  readonly entries: readonly LogEntry[];
  /** There may be more after the last of them. */
  readonly more: boolean;
  /** Last entry of the log. For a former member: the last entry it may read. */
  readonly lastSeq: number;
  /** Former member: the last entry it may read. Member: null. */
  readonly leftSeq: number | null;
  /** Oldest kept entry. For a former member at most the one after its last, so that it learns nothing newer. */
  readonly oldestSeq: number;
  /** Entries that would come next were deleted. A page that begins after them would hide the gap. */
  readonly truncated: boolean;
  /** The log does not go on from the position. Then there are no entries. */
  readonly restarted: boolean;
  /** Where the reader is after this page. */
  readonly position: Position;
}

/** Columns of `conversation c` and `member m` that say who may read how far (invariant 8). */
export const PAGE_FACTS = `coalesce(m.left_seq, c.last_seq) as "lastSeq", m.left_seq as "leftSeq",
  least(c.oldest_seq, coalesce(m.left_seq + 1, c.oldest_seq)) as "oldestSeq",
  case when m.left_seq is null and (c.chain_base = 0 or c.last_seq > c.chain_base) then c.chain end as head`;

/** Facts of a page about the log. */
export type PageFacts = Pick<Page, 'lastSeq' | 'leftSeq' | 'oldestSeq' | 'truncated' | 'restarted'> & {
  /** Value of the chain at `lastSeq`. null = there is none, or the user is no member. */
  readonly head: Uint8Array | null;
};

/** @param row {@link PAGE_FACTS}, `truncated` and `verdict` */
export function parsePageFacts(row: Row): PageFacts {
  return {
    lastSeq: integer(row, 'lastSeq'),
    leftSeq: orNull(integer, row, 'leftSeq'),
    oldestSeq: integer(row, 'oldestSeq'),
    truncated: flag(row, 'truncated'),
    restarted: text(row, 'verdict') === 'restarted',
    head: orNull(bytes, row, 'head'),
  };
}

/** A page of these entries. Without any its reader is at the end. */
export function pageOf({ head, ...facts }: PageFacts, { entries, more }: Pick<Page, 'entries' | 'more'>): Page {
  const last = entries.at(-1);
  const position = last === undefined ? positionAt(facts.lastSeq, head) : positionAt(last.seq, last.chain);
  return { ...facts, entries, more, position };
}

/**
 * Entries after `after` that the user may read, in order of seq. Position, membership and entries are judged and read in one
 * statement, so in one snapshot, with one index range for each membership interval: a removed member never gets an entry after its removal
 * (invariants 5 and 8).
 * @param limit entries of the page; it also ends after `MAX_PAGE_BYTES` bytes of ciphertext, but has at least one entry
 * @returns `undefined` when the conversation does not exist for the user
 */
export async function readPage(
  pool: pg.Pool,
  conversation: string,
  user: string,
  after: number | Position,
  limit: number,
  kind?: EntryKind,
): Promise<Page | undefined> {
  const { seq, mark }: Position = typeof after === 'number' ? { seq: after } : after;
  const { rows } = await pool.query<Row>({
    name: `read-page-${kind ?? 'all'}`,
    text: `select ${PAGE_FACTS}, j.verdict, c.oldest_seq > 1 and exists (
          select from period p where p.conversation = c.key and p.user_id = m.user_id
            and (p.to_seq is null or p.to_seq > $3) and greatest(p.from_seq, $3::bigint + 1) < c.oldest_seq) as truncated,
        e.*
      from (select * from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (select * from member where conversation = c.key and user_id = $2 limit 1) m
      cross join lateral (select judge_position(c, m, $3, $6) as verdict offset 0) j
      left join lateral (${readableEntries(kindFilter(kind))}) e on j.verdict <> 'restarted'
      order by e.seq`,
    values: [conversation, user, seq, limit, MAX_PAGE_BYTES, mark ?? null],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  const facts = parsePageFacts(row);
  return pageOf(facts, parseEntries(rows, limit, facts.lastSeq));
}

/** PublicMessages begin with the version and the wire format (RFC 9420 §6). */
const PUBLIC_MESSAGE = String.raw`\x00010001`;

/**
 * Public proposals of the current epoch, the newest first.
 * @param limit proposals. Each has at most the bytes of a key package, so that the answer stays small
 */
export async function readPublicProposals(pool: pg.Pool, conversation: string, limit: number): Promise<Buffer[]> {
  const { rows } = await pool.query<Row>({
    name: 'read-public-proposals',
    // The index on handshake entries excludes 'application': the planner uses it only when the condition says so too.
    text: `select e.ciphertext from (select key, last_commit_seq from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (
        select ciphertext from entry
        where conversation = c.key and seq > c.last_commit_seq and kind = 'proposal' and kind <> 'application'
        order by seq desc limit $2) e
      where substring(e.ciphertext for 4) = '${PUBLIC_MESSAGE}' and octet_length(e.ciphertext) <= ${MAX_KEY_PACKAGE_BYTES}`,
    values: [conversation, limit],
  });
  return rows.map((row) => bytes(row, 'ciphertext'));
}
