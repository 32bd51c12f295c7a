import type pg from 'pg';
import { type Row, integer, oneOf, orNull, text, time } from '../row.ts';

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
}

const STATE = `case when deleted_at is not null then 'deleted' when successor is not null then 'superseded'
  when reset_open(conversation) or trial_may_be_undone(conversation) then 'reset-open' else 'active' end`;
const COLUMNS = `id, protocol, epoch, last_seq as "lastSeq", member_count as "memberCount", oldest_seq as "oldestSeq",
  ${STATE} as state, successor, due_at as "dueAt", created_at as "createdAt"`;

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
  };
}

/** One conversation, also a deleted one. @returns `undefined` when there never was one */
export async function overviewConversation(pool: pg.Pool, id: string): Promise<ConversationOverview | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'overview-conversation',
    text: `select ${COLUMNS} from conversation where id = $1 limit 1`,
    values: [id],
  });
  const [row] = rows;
  return row === undefined ? undefined : parseOverview(row);
}

/**
 * Conversations by id.
 * @param state `due` = conversations whose timer should have run; absent = all
 * @param after id after which the list starts; '' = from the first
 */
export async function overviewConversations(
  pool: pg.Pool,
  state: ConversationState | 'due' | undefined,
  after: string,
  limit: number,
): Promise<ConversationOverview[]> {
  const { rows } = await pool.query<Row>({
    name: 'overview-conversations',
    // Always walks through the index on ids: it never sorts, and stops at the limit.
    text: `select ${COLUMNS} from conversation
      where id > $1 and ($2::text is null or $2 = ${STATE} or $2 = 'due' and due_at <= clock_timestamp())
      order by id limit $3`,
    values: [after, state ?? null, limit],
  });
  return rows.map(parseOverview);
}
