import type pg from 'pg';
import { MAX_PAGE_BYTES } from '../../domain/limits.ts';
import { type Position, positionAt } from '../../domain/position.ts';
import { type Row, bytes, flag, integer, integers, integersByName, objects, oneOf, orNull } from '../row.ts';
import { existsByKey, withinBytes } from '../sql-fragments.ts';
import { parseChangeItem } from './changes.ts';
import { ENTRY_COLUMNS, PAGE_FACTS, parseEntries, parsePageFacts, readableEntries } from './entries.ts';
import { type Cursor, type LogItem, mergeInOrder } from './log-items.ts';

/** What streams read of one conversation: its next entries and changes, in order. */
interface LogSlice {
  readonly items: readonly LogItem[];
  /** There may be more after the last of them. */
  readonly more: boolean;
  /** Last entry of the log. */
  readonly lastSeq: number;
  /** Oldest kept entry. */
  readonly oldestSeq: number;
}

/** The next items for one user, and the facts that decide what it may read: all from one snapshot. */
export interface UserLogSlice extends LogSlice {
  /** Last entry of the log. For a former member: the last entry it may read. */
  readonly lastSeq: number;
  /** Former member: the last entry it may read. Member: null. */
  readonly leftSeq: number | null;
  /** Entries that would come next were deleted. */
  readonly truncated: boolean;
  /** The log does not go on from the position. Then there are no items. */
  readonly restarted: boolean;
  /** The end of the log, for a member. */
  readonly end: Position;
  readonly protocol: 'mls' | 'opaque';
  /** First entries of the user's membership intervals that reach to the cursor or beyond, in order. */
  readonly intervalStarts: readonly number[];
  /** A Welcome of the user belongs to an entry after the cursor. */
  readonly hasWelcomes: boolean;
}

/** The next items for all live streams of a process, and which of their users may no longer read: from one snapshot. */
export interface SharedLogSlice extends LogSlice {
  readonly deleted: boolean;
  /** The log at the cursor; without a mark where the chain has no value. */
  readonly start: Position;
  /** Of those users who are former members: user -> last entry it may read. */
  readonly left: ReadonlyMap<string, number>;
  /** Of those users who joined (again) after the cursor: user -> first entry of the latest membership interval. */
  readonly rejoined: ReadonlyMap<string, number>;
  /** A Welcome belongs to an entry after the cursor. */
  readonly hasWelcomes: boolean;
}

/** Takes the changes from the first row only: the join repeats them for every entry, and they may name many users. */
const onFirstRow = (column: string): string => `case when row_number() over (order by e.seq) = 1 then ${column} end`;

/**
 * Changes as JSON. One that adds or removes many users has their number; of the users it names only those among `users`
 * whom it removes. So a reader gets little of a change that names thousands.
 * @param users SQL array of the users of the reader
 */
const changesAsJson = (source: string, users: string): string => `
  select coalesce(jsonb_agg(jsonb_build_object('seq', x.seq, 'key', x.key, 'kind', x.kind, 'data', case
      when x.kind not in ('added', 'removed') or jsonb_array_length(x.data -> 'users') <= max_member_events() then x.data
      else jsonb_build_object('count', jsonb_array_length(x.data -> 'users'), 'users', case
        when x.kind = 'added' then '[]' else (
          select coalesce(jsonb_agg(u), '[]')
          from (select jsonb_array_elements_text(x.data -> 'users') u intersect select unnest(${users})) i) end)
      end) order by x.seq, x.key), '[]') as changes
  from (${source} order by x.seq, x.key limit $4) x`;

/** @param rows facts about the conversation, an entry or nulls, and in the first row the changes */
function parseItems(
  rows: readonly Row[],
  facts: Row,
  limit: number,
  lastSeq: number,
): { readonly items: readonly LogItem[]; readonly more: boolean } {
  const { entries, more } = parseEntries(rows, limit, lastSeq);
  const changes = objects(facts, 'changes').map(parseChangeItem);
  const hasMoreChanges = changes.length === limit;
  const items = mergeInOrder({ items: entries, isCut: more }, { items: changes, isCut: hasMoreChanges });
  return { items, more: more || hasMoreChanges };
}

/**
 * Reads the next items for one user after a cursor. Who may read what: as in `readPage`.
 * @param limit entries, and changes, of the slice; it also ends after `MAX_PAGE_BYTES` bytes of ciphertext
 * @returns `undefined` when the conversation does not exist for the user
 */
export async function readUserLogSlice(
  pool: pg.Pool,
  conversation: string,
  user: string,
  { seq, key, mark }: Cursor,
  limit: number,
): Promise<UserLogSlice | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-user-log-slice',
    text: `select ${PAGE_FACTS}, c.protocol, j.verdict, s."intervalStarts", s.truncated, ${onFirstRow('ch.changes')} as changes,
        ${existsByKey('welcome w where w.conversation = c.key and w.user_id = m.user_id and w.seq > $3')} as "hasWelcomes",
        e.*
      from (select * from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (select * from member where conversation = c.key and user_id = $2 limit 1) m
      cross join lateral (
        select coalesce(jsonb_agg(p.from_seq order by p.from_seq), '[]') as "intervalStarts",
          coalesce(bool_or((p.to_seq is null or p.to_seq > $3) and greatest(p.from_seq, $3::bigint + 1) < c.oldest_seq),
            false) as truncated
        from period p
        where p.conversation = c.key and p.user_id = m.user_id and (p.to_seq is null or p.to_seq >= $3)) s
      cross join lateral (${changesAsJson(
        `
        select x.* from period p cross join lateral (
          select * from change x
          where x.conversation = p.conversation and (x.seq, x.key) > ($3::bigint, $6::bigint)
            and x.seq >= case p.from_seq when 1 then 0 else p.from_seq end
            and x.seq <= coalesce(p.to_seq, 9223372036854775807)
          order by x.seq, x.key limit $4
        ) x
        where p.conversation = c.key and p.user_id = m.user_id and (p.to_seq is null or p.to_seq >= $3)`,
        'array[$2::text]',
      )}) ch
      cross join lateral (select judge_position(c, m, $3, $7) as verdict offset 0) j
      left join lateral (${readableEntries()}) e on j.verdict <> 'restarted'
      order by e.seq`,
    values: [conversation, user, seq, limit, MAX_PAGE_BYTES, key, mark ?? null],
  });
  const [facts] = rows;
  if (facts === undefined) return undefined;
  const { head, ...page } = parsePageFacts(facts);
  return {
    ...parseItems(rows, facts, limit, page.lastSeq),
    ...page,
    end: positionAt(page.lastSeq, head),
    protocol: oneOf(facts, 'protocol', ['mls', 'opaque']),
    intervalStarts: integers(facts, 'intervalStarts'),
    hasWelcomes: flag(facts, 'hasWelcomes'),
  };
}

/**
 * Reads the next items after a cursor for all live streams of a process, and who of their users is no longer a member:
 * one statement, one snapshot.
 * @param users users of those streams
 * @param limit entries, and changes, of the slice; it also ends after `MAX_PAGE_BYTES` bytes of ciphertext
 * @returns `undefined` when there is no such conversation
 */
export async function readSharedLogSlice(
  pool: pg.Pool,
  conversation: string,
  users: readonly string[],
  { seq, key }: Cursor,
  limit: number,
): Promise<SharedLogSlice | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-shared-log-slice',
    text: `select c.last_seq as "lastSeq", c.oldest_seq as "oldestSeq", c.deleted_at is not null as deleted,
        chain_at(c, $3) as start, coalesce((
          select jsonb_object_agg(m.user_id, m.left_seq) from member m
          where m.conversation = c.key and m.user_id = any($2) and m.left_seq is not null), '{}') as left,
        coalesce((select jsonb_object_agg(p.user_id, p.from_seq order by p.from_seq) from period p
          where p.conversation = c.key and p.user_id = any($2) and p.from_seq > $3), '{}') as rejoined,
        ${existsByKey('welcome_body b where b.conversation = c.key and b.seq > $3')} as "hasWelcomes",
        ${onFirstRow('ch.changes')} as changes, e.*
      from (select * from conversation where id = $1 limit 1) c
      cross join lateral (${changesAsJson(
        `
        select * from change x where x.conversation = c.key and (x.seq, x.key) > ($3::bigint, $6::bigint)`,
        '$2::text[]',
      )}) ch
      left join lateral (${withinBytes(
        `select ${ENTRY_COLUMNS} from entry e where e.conversation = c.key and e.seq > $3 order by e.seq limit $4`,
        '$5',
      )}) e on true
      order by e.seq`,
    values: [conversation, users, seq, limit, MAX_PAGE_BYTES, key],
  });
  const [facts] = rows;
  if (facts === undefined) return undefined;
  const lastSeq = integer(facts, 'lastSeq');
  return {
    ...parseItems(rows, facts, limit, lastSeq),
    lastSeq,
    oldestSeq: integer(facts, 'oldestSeq'),
    deleted: flag(facts, 'deleted'),
    start: positionAt(seq, orNull(bytes, facts, 'start')),
    left: integersByName(facts, 'left'),
    rejoined: integersByName(facts, 'rejoined'),
    hasWelcomes: flag(facts, 'hasWelcomes'),
  };
}
