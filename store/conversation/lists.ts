import type pg from 'pg';
import { type Row, bytes, flag, integer, onlyRow, orNull, text } from '../row.ts';
import { type ConversationSummary, SUMMARY, parseSummary } from './conversations.ts';

/** A conversation in the list of a user: enough to decide whether a device has to read there, and from where. */
export interface ListedConversation extends ConversationSummary {
  /** Oldest kept entry. For a former member at most the one after its last, so that it learns nothing newer. */
  readonly oldestSeq: number;
  /** First entry of the user's latest membership interval; 0 = member since the creation. */
  readonly joinedSeq: number;
  /** Read position of the user. */
  readonly readSeq: number;
  /** Value of the chain at `lastSeq`; null = it has none. */
  readonly chain: Buffer | null;
  /** Id of the conversation that replaced this one; null for former members. */
  readonly successor: string | null;
}

const LISTED = `${SUMMARY},
  least(c.oldest_seq, coalesce(m.left_seq + 1, c.oldest_seq)) as "oldestSeq", m.joined_seq as "joinedSeq", m.read_seq as "readSeq",
  case when m.left_seq is null then c.chain
    else (select chain_at(x, m.left_seq) from conversation x where x.key = c.key limit 1) end as chain,
  case when m.left_seq is null then c.successor end as successor`;

function parseListed(row: Row): ListedConversation {
  return {
    ...parseSummary(row),
    oldestSeq: integer(row, 'oldestSeq'),
    joinedSeq: integer(row, 'joinedSeq'),
    readSeq: integer(row, 'readSeq'),
    chain: orNull(bytes, row, 'chain'),
    successor: orNull(text, row, 'successor'),
  };
}

/**
 * Conversations of a user in the order of their creation, with those that it left in the last 30 days. A page reads no more than it
 * returns, however many conversations the user has.
 * @param after id after which the list starts; '' = from the first
 */
export async function listConversations(
  pool: pg.Pool,
  user: string,
  after: string,
  limit: number,
): Promise<ListedConversation[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-conversations',
    // The order is that of the index (user_id, conversation), which the row comparison names: no other index serves it.
    // `lateral`: otherwise the planner may walk through all conversations.
    text: `select ${LISTED}
      from member m cross join lateral (select * from conversation where key = m.conversation limit 1) c
      where m.user_id = $1 and c.deleted_at is null
        and (m.user_id, m.conversation) > ($1::text, coalesce((select key from conversation where id = $2 limit 1), 0))
        and (m.left_at is null or m.left_at > clock_timestamp() - former_member_lifetime())
      order by m.user_id, m.conversation limit $3`,
    values: [user, after, limit],
  });
  return rows.map(parseListed);
}

/**
 * A point in the history of the database, as a client keeps it between two lists. Every transaction before the horizon had ended, and
 * was visible, when it was made. What commits later has a transaction id at or above it.
 */
export interface ChangePoint {
  /** A transaction id (xid8): it does not wrap. */
  readonly horizon: string;
  /** {@link database_lineage} of the database that the horizon belongs to. */
  readonly lineage: string;
}

/** The place between two pages of one list of changes; its horizon is that of the first page. */
export interface ChangesCursor extends ChangePoint {
  /** What the list asks for: horizon of the point before; '0' = everything. */
  readonly since: string;
  /** Id of the last conversation that was looked at. */
  readonly after: string;
  /** Conversations up to there of which the user is a member now. */
  readonly members: number;
}

/** A page of the conversations that changed for a user. */
export interface ChangedConversations {
  readonly conversations: readonly ListedConversation[];
  /** The page begins a list of all conversations of the user: it was asked for, or what the client had is of another lineage. */
  readonly beginsFull: boolean;
  /** Where the next page starts. Without it this is the last page, and `end` says what to ask for next time. */
  readonly next?: ChangesCursor;
  readonly end?: ChangePoint & { readonly members: number };
}

/** Memberships that one page looks at: some thousand look-ups by key, however many conversations the user has. */
const EXAMINED = 5000;

/**
 * Conversations of a user that changed since a point, in the order of their creation. The horizon of the first page becomes the next
 * point: changes that commit while the pages are read come (again) in the next list, so none is missed, whichever transactions were
 * open meanwhile.
 *
 * A former member is told of its own changes only: what happens after it left is none of them.
 *
 * The first page writes an empty record to the WAL, and so ends with a flush. Else transaction ids that a client knows could be given
 * to other transactions after a crash of the server: ids that nothing flushed has used are used again.
 * @param from a point, undefined = everything; or where the page before ended
 */
export async function listChangedConversations(
  pool: pg.Pool,
  user: string,
  from: { readonly since: ChangePoint | undefined } | { readonly cursor: ChangesCursor },
  limit: number,
): Promise<ChangedConversations> {
  const [since, cursor] = 'cursor' in from ? [undefined, from.cursor] : [from.since, undefined];
  const { rows } = await pool.query<Row>({
    name: 'list-changed-conversations',
    text: LIST_CHANGED,
    values: [
      user,
      cursor?.since ?? since?.horizon ?? null,
      cursor?.lineage ?? since?.lineage ?? null,
      cursor?.horizon ?? null,
      cursor?.after ?? '',
      cursor?.members ?? 0,
      limit,
    ],
  });
  const facts = onlyRow(rows, 'list-changed-conversations');
  const point = { horizon: text(facts, 'horizon'), lineage: text(facts, 'lineage') };
  const members = integer(facts, 'members');
  return {
    conversations: facts.id === null ? [] : rows.map(parseListed),
    beginsFull: flag(facts, 'beginsFull'),
    ...(flag(facts, 'more')
      ? { next: { ...point, members, since: text(facts, 'since'), after: text(facts, 'last') } }
      : { end: { ...point, members } }),
  };
}

const LIST_CHANGED = `
  with now as materialized (
    select pg_snapshot_xmin(pg_current_snapshot()) as horizon, database_lineage() as lineage,
      case when $4::text is null then pg_logical_emit_message(true, 'parley', '') end
  ), asked as materialized (
    select n.lineage, case when k.is_known then coalesce($2::text, '0') else '0' end::xid8 as since,
      case when k.is_known and $4 is not null then $4::xid8 else n.horizon end as horizon,
      case when k.is_known then coalesce((select key from conversation where id = $5 limit 1), 0) else 0 end as after,
      case when k.is_known then $6::bigint else 0 end as members
    from now n cross join lateral (
      select coalesce($3 = n.lineage and $2::xid8 <= n.horizon and ($4 is null or $4::xid8 <= n.horizon), true) as is_known) k
  ), examined as materialized (
    select m.conversation as key, c.id, c.deleted_at is null and m.left_seq is null as is_member,
      c.deleted_at is null and (m.left_at is null or m.left_at > clock_timestamp() - former_member_lifetime())
        and case when m.left_seq is null then greatest(c.changed_xid, m.changed_xid) else m.changed_xid end >= a.since
        as is_changed
    from asked a
    cross join lateral (
      select * from member where user_id = $1 and (user_id, conversation) > ($1::text, a.after)
      order by user_id, conversation limit case a.since when '0' then $7::int else ${EXAMINED} end + 1) m
    cross join lateral (select id, deleted_at, changed_xid from conversation where key = m.conversation limit 1) c
  ), counted as (
    select *, row_number() over w as place, count(*) over () as found,
      count(*) filter (where is_changed) over (w rows between unbounded preceding and 1 preceding) as before
    from examined window w as (order by key)
  ), page as materialized (
    select c.* from counted c cross join asked a
    where c.before < $7 and c.place <= case a.since when '0' then $7::int else ${EXAMINED} end
  )
  select a.since::text, a.horizon::text, a.lineage, a.since = '0' and a.after = 0 as "beginsFull",
    a.members + p.members as members, p.last, p.more, l.*
  from asked a
  cross join (
    select count(*) filter (where is_member) as members, (array_agg(id order by key desc))[1] as last,
      coalesce(max(found) > count(*), false) as more
    from page) p
  left join lateral (
    select m.conversation as place, ${LISTED}
    from (select key from page where is_changed) x
    cross join lateral (select * from member where conversation = x.key and user_id = $1 limit 1) m
    cross join lateral (select * from conversation where key = x.key limit 1) c
  ) l on true
  order by l.place`;
