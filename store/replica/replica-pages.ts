import type pg from 'pg';
import type { EntryKind } from '../../domain/log-entry.ts';
import { MAX_PAGE_BYTES } from '../../domain/limits.ts';
import type { Position } from '../../domain/position.ts';
import {
  CHAIN_BEFORE,
  PAGE_FACTS,
  type Page,
  type PageFacts,
  entryColumns,
  kindFilter,
  pageOf,
  parseEntries,
  parsePageFacts,
  readPage,
} from '../log/entries.ts';
import { type Row, integer, integers } from '../row.ts';
import { withinBytes } from '../sql-fragments.ts';
import type { Replica } from './replica.ts';

/** Who served the entries of a page. `behind`: the replica did not have all of them yet, so the primary did. */
export type PageSource = 'replica' | 'behind' | 'failed' | 'primary';

/** Reads a page of the log; arguments and result as those of `readPage`. */
export type ReadPage = (
  conversation: string,
  user: string,
  after: number | Position,
  limit: number,
  kind?: EntryKind,
) => Promise<Page | undefined>;

/** A user with more stays than this is served by the primary. */
const MAX_STAYS = 64;

/** What the primary decides about a page: all but the entries themselves. */
interface Judgement extends PageFacts {
  readonly key: number;
  /** Oldest entry that the primary keeps, and the last application entry without its body. */
  readonly keptFrom: number;
  readonly expiredSeq: number;
  /** Number of bodies that were deleted: the replica serves only when it has deleted as many. */
  readonly deletions: number;
  /** Membership intervals that reach beyond the position: first and last entries, in order. */
  readonly from: readonly number[];
  readonly to: readonly number[];
}

/**
 * Reads pages with the help of a replica. The primary says who may read what: membership, positions, what retention deleted, how
 * far the log goes. The replica only hands over entries, and only when it has all of those that the page may hold. Entries never
 * change but for the loss of their bodies, of which the primary knows. In all other cases the primary serves the page as if there
 * were no replica.
 * @param onPage called with the source of each page
 */
export function makeReadPage(
  primary: pg.Pool,
  replica: Replica | undefined,
  onPage: (source: PageSource) => void = () => undefined,
): ReadPage {
  if (replica === undefined) return (...page) => readPage(primary, ...page);
  return async (conversation, user, from, limit, kind) => {
    const position: Position = typeof from === 'number' ? { seq: from } : from;
    const { seq: after } = position;
    const fromPrimary = (source: PageSource): Promise<Page | undefined> => {
      onPage(source);
      return readPage(primary, conversation, user, position, limit, kind);
    };
    if (!replica.follows()) return fromPrimary('primary');
    const judgement = await judge(primary, conversation, user, position);
    if (judgement === undefined) return undefined;
    if (judgement.from.length > MAX_STAYS) return fromPrimary('primary');
    const {
      key: _key,
      keptFrom: _kept,
      expiredSeq: _expired,
      deletions: _deletions,
      from: _from,
      to: _to,
      ...facts
    } = judgement;
    const end = lastPossible(judgement, after, limit, kind);
    // Nothing can be in the page, so nobody has to be asked.
    if (facts.restarted || end <= after) return pageOf(facts, { entries: [], more: false });
    let rows: readonly Row[];
    try {
      rows = await readEntries(replica.pool, judgement, { after, limit, kind, end });
    } catch (error) {
      replica.failed(error);
      return fromPrimary('failed');
    }
    if (rows.length === 0) return fromPrimary('behind');
    onPage('replica');
    return pageOf(facts, parseEntries(rows, limit, facts.lastSeq));
  };
}

/** The last entry that the page may hold. Entries are dense in seq, so the limit of entries is one of seq too. */
function lastPossible(judgement: Judgement, after: number, limit: number, kind: EntryKind | undefined): number {
  const last = Math.min(judgement.lastSeq, judgement.to.at(-1) ?? 0);
  if (kind !== undefined) return last;
  let left = limit;
  for (const [i, from] of judgement.from.entries()) {
    const first = Math.max(from, after + 1);
    const to = Math.min(judgement.to[i] ?? 0, judgement.lastSeq);
    if (to - first + 1 >= left) return first + left - 1;
    left -= Math.max(0, to - first + 1);
  }
  return last;
}

async function judge(
  primary: pg.Pool,
  conversation: string,
  user: string,
  { seq, mark }: Position,
): Promise<Judgement | undefined> {
  const { rows } = await primary.query<Row>({
    name: 'judge-page',
    // As in `readPage`: one snapshot for all of it.
    text: `select c.key, ${PAGE_FACTS}, judge_position(c, m, $3, $5) as verdict, c.oldest_seq as "keptFrom",
        c.expired_seq as "expiredSeq", c.deletions, s.*
      from (select * from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (select * from member where conversation = c.key and user_id = $2 limit 1) m
      cross join lateral (
        select coalesce(jsonb_agg(p.from_seq order by p.from_seq), '[]') as from,
          coalesce(jsonb_agg(coalesce(p.to_seq, c.last_seq) order by p.from_seq), '[]') as to,
          coalesce(bool_or(greatest(p.from_seq, $3::bigint + 1) < c.oldest_seq), false) as truncated
        from (select * from period p where p.conversation = c.key and p.user_id = m.user_id
                and (p.to_seq is null or p.to_seq > $3) order by p.from_seq limit $4) p) s`,
    values: [conversation, user, seq, MAX_STAYS + 1, mark ?? null],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    ...parsePageFacts(row),
    key: integer(row, 'key'),
    keptFrom: integer(row, 'keptFrom'),
    expiredSeq: integer(row, 'expiredSeq'),
    deletions: integer(row, 'deletions'),
    from: integers(row, 'from'),
    to: integers(row, 'to'),
  };
}

/**
 * @param page `end`: the last entry that the page may hold
 * @returns no row unless the replica has all entries up to `end`, and has deleted none that the primary had
 */
async function readEntries(
  replica: pg.Pool,
  { key, from, to, keptFrom, expiredSeq, deletions }: Judgement,
  page: { readonly after: number; readonly limit: number; readonly kind: EntryKind | undefined; readonly end: number },
): Promise<readonly Row[]> {
  const { rows } = await replica.query<Row>({
    name: `read-replica-page-${page.kind ?? 'all'}`,
    text: `select e.*
      from (select * from conversation where key = $1 and last_seq >= $6 and oldest_seq <= $7
          and deletions >= $10 and deleted_at is null limit 1) c
      left join lateral (${withinBytes(
        `select e.* from unnest($2::bigint[], $8::bigint[]) as p (from_seq, to_seq) cross join lateral (
          select ${entryColumns(`case when e.kind <> 'application' or e.seq > $9 then e.ciphertext end`)}, ${CHAIN_BEFORE}
          from entry e
          where e.conversation = $1 and e.seq >= greatest(p.from_seq, $3::bigint + 1) and e.seq <= least(p.to_seq, $6)
            ${kindFilter(page.kind)}
          order by e.seq limit $4
        ) e order by e.seq limit $4`,
        '$5',
      )}) e on true
      order by e.seq`,
    values: [key, from, page.after, page.limit, MAX_PAGE_BYTES, page.end, keptFrom, to, expiredSeq, deletions],
  });
  return rows;
}
