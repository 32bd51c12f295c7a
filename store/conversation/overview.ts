import type pg from 'pg';
import { TROUBLE_SIGNS, type TroubleSign } from '../../domain/trouble.ts';
import { type Row, integer, oneOf, orNull, text, texts, time } from '../row.ts';

/** State of a conversation in its life. */
export const CONVERSATION_STATES = ['active', 'reset-open', 'superseded', 'deleted'] as const;
export type ConversationState = (typeof CONVERSATION_STATES)[number];

/** A conversation as operators see it: without users and content. */
export interface ConversationOverview {
  readonly id: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly lastSeq: number;
  readonly memberCount: number;
  /** Oldest kept entry: retention deleted those before it. */
  readonly oldestSeq: number;
  readonly state: ConversationState;
  readonly successor: string | null;
  /** When the conversation's timer next has work; null = nothing is planned. */
  readonly dueAt: Date | null;
  readonly createdAt: Date;
  /** Time of the newest entry; of the creation when there is none. */
  readonly lastAt: Date;
  /** Signs of trouble that were seen of late (`TROUBLE_WITHIN_MS`). */
  readonly troubles: readonly TroubleSign[];
}

/** Which conversations to list. What is absent does not matter. */
export interface ConversationFilter {
  /** `due` = conversations whose timer should have run. */
  readonly state?: ConversationState | 'due' | undefined;
  /** In trouble of late: with this sign, or with any. */
  readonly trouble?: TroubleSign | 'any' | undefined;
  readonly minMembers?: number | undefined;
  readonly maxMembers?: number | undefined;
  /** No entry for this time. */
  readonly idleMs?: number | undefined;
}

/** A part of the list. */
export interface ConversationPage {
  readonly conversations: readonly ConversationOverview[];
  /** Id after which the list goes on; also when none was found, because a page looks at `PAGE_WALK` conversations at most. */
  readonly next: string | undefined;
}

/** A sign of trouble that was not seen for this long is over. */
export const TROUBLE_WITHIN_MS = 10 * 60_000;
/** Conversations that one page looks at. A filter that fits few of a million conversations needs several pages. */
const PAGE_WALK = 2000;
/** Conversations in trouble, and with timers that are due, that a list knows: those seen last, and those due for longest. */
const MAX_CANDIDATES = 10_000;

/** SQL of a conversation's {@link ConversationState}. */
export const STATE = `case when deleted_at is not null then 'deleted' when successor is not null then 'superseded'
  when reset_open(conversation) or trial_may_be_undone(conversation) then 'reset-open' else 'active' end`;
const RECENT = `last_at > clock_timestamp() - make_interval(secs => ${TROUBLE_WITHIN_MS} / 1000.0)`;
const columns = (row: string): string => `id, protocol, epoch, last_seq as "lastSeq", member_count as "memberCount",
  oldest_seq as "oldestSeq", ${STATE} as state, successor, due_at as "dueAt", created_at as "createdAt", last_at as "lastAt",
  array(select sign from trouble where conversation = ${row}.key and ${RECENT} order by sign) as troubles`;

function parseOverview(row: Row): ConversationOverview {
  return {
    id: text(row, 'id'),
    protocol: oneOf(row, 'protocol', ['mls', 'opaque']),
    epoch: integer(row, 'epoch'),
    lastSeq: integer(row, 'lastSeq'),
    memberCount: integer(row, 'memberCount'),
    oldestSeq: integer(row, 'oldestSeq'),
    state: oneOf(row, 'state', CONVERSATION_STATES),
    successor: orNull(text, row, 'successor'),
    dueAt: orNull(time, row, 'dueAt'),
    createdAt: time(row, 'createdAt'),
    lastAt: time(row, 'lastAt'),
    // A sign of a later release is not known here.
    troubles: TROUBLE_SIGNS.filter((sign) => texts(row, 'troubles').includes(sign)),
  };
}

/** One conversation, also a deleted one. @returns `undefined` when there never was one */
export async function overviewConversation(pool: pg.Pool, id: string): Promise<ConversationOverview | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'overview-conversation',
    text: `select ${columns('conversation')} from conversation where id = $1 limit 1`,
    values: [id],
  });
  const [row] = rows;
  return row === undefined ? undefined : parseOverview(row);
}

// Where a list looks, in order of ids. $1: the id after which it starts, $2: how many it looks at, $3: what it looks for.
const CANDIDATES = {
  // Walks through the index on ids: it never sorts, and stops at the limit.
  all: `select key, id from conversation where id > $1 and $3::text is null order by id limit $2`,
  due: `select key, id from (
      select key, id from conversation where due_at <= clock_timestamp() order by due_at limit ${MAX_CANDIDATES}) d
    where id > $1 and $3::text is null order by id limit $2`,
  trouble: `select c.key, c.id from (select distinct conversation from (
        select conversation from trouble where ${RECENT} and ($3::text is null or sign = $3)
        order by last_at desc limit ${MAX_CANDIDATES}) seen) t
      cross join lateral (select key, id from conversation where key = t.conversation limit 1) c
    where c.id > $1 order by c.id limit $2`,
} as const;

/**
 * Conversations by id. One page is a bounded piece of work, whatever the filter finds.
 * @param after id after which the list starts; '' = from the first
 */
export async function overviewConversations(
  pool: pg.Pool,
  { state, trouble, minMembers, maxMembers, idleMs }: ConversationFilter,
  after: string,
  limit: number,
): Promise<ConversationPage> {
  const isFiltered = [state, trouble, minMembers, maxMembers, idleMs].some((one) => one !== undefined);
  const walk = isFiltered ? PAGE_WALK : limit + 1;
  const source = trouble !== undefined ? 'trouble' : state === 'due' ? 'due' : 'all';
  const { rows } = await pool.query<Row>({
    name: `overview-conversations-${source}`,
    text: `with candidate (known_key, known_id) as materialized (${CANDIDATES[source]}),
        walked as (select count(*)::int as count, max(known_id) as last from candidate)
      select w.count as "walkedCount", w.last as "walkedLast", f.*
      from walked w left join lateral (
        select ${columns('c')} from candidate
        cross join lateral (select conversation, conversation.* from conversation where key = known_key limit 1) c
        where ($4::text is null or $4 = ${STATE} or $4 = 'due' and due_at <= clock_timestamp())
          and ($5::int is null or member_count >= $5) and ($6::int is null or member_count <= $6)
          and ($7::float8 is null or last_at <= clock_timestamp() - make_interval(secs => $7 / 1000))
        order by known_id limit $8) f on true
      order by f.id`,
    values: [
      after,
      walk,
      trouble === 'any' ? null : (trouble ?? null),
      state ?? null,
      minMembers ?? null,
      maxMembers ?? null,
      idleMs ?? null,
      limit + 1,
    ],
  });
  const [first] = rows;
  const found = first === undefined || first.id === null ? [] : rows.map(parseOverview);
  const conversations = found.slice(0, limit);
  const walkedToItsEnd = first !== undefined && integer(first, 'walkedCount') === walk;
  const next = found.length > limit ? conversations.at(-1)?.id : walkedToItsEnd ? text(first, 'walkedLast') : undefined;
  return { conversations, next };
}
