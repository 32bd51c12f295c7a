import type pg from 'pg';

/** Where a conversation is in its life. */
export const CONVERSATION_STATES = ['active', 'reset-open', 'superseded', 'deleted'] as const;
export type ConversationState = (typeof CONVERSATION_STATES)[number];

/** A conversation as operators see it: no users, no content. */
export interface ConversationOverview {
  readonly id: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly lastSeq: number;
  readonly memberCount: number;
  /** Entries before it were taken by retention. */
  readonly oldestSeq: number;
  readonly state: ConversationState;
  readonly successor: string | null;
  /** When its timer next has work. */
  readonly dueAt: Date | null;
  readonly createdAt: Date;
}

const STATE = `case when deleted_at is not null then 'deleted' when successor is not null then 'superseded'
  when stuck_members(conversation) >= needed_reports(conversation) then 'reset-open' else 'active' end`;
const COLUMNS = `id, protocol, epoch, last_seq as "lastSeq", member_count as "memberCount", oldest_seq as "oldestSeq",
  ${STATE} as state, successor, due_at as "dueAt", created_at as "createdAt"`;

/** A conversation, also a deleted one; `undefined` = there never was one. */
export async function overviewConversation(pool: pg.Pool, id: string): Promise<ConversationOverview | undefined> {
  const { rows } = await pool.query<ConversationOverview>({
    name: 'overview-conversation',
    text: `select ${COLUMNS} from conversation where id = $1 limit 1`,
    values: [id],
  });
  return rows[0];
}

/**
 * Conversations by id.
 * @param state `due` = those whose timer is past; absent = all
 * @param after id to go on after; '' = from the start
 */
export async function overviewConversations(
  pool: pg.Pool,
  state: ConversationState | 'due' | undefined,
  after: string,
  limit: number,
): Promise<ConversationOverview[]> {
  const { rows } = await pool.query<ConversationOverview>({
    name: 'overview-conversations',
    // In the order of the index on ids, whatever is asked for: it never sorts, and stops at the limit.
    text: `select ${COLUMNS} from conversation
      where id > $1 and ($2::text is null or $2 = ${STATE} or $2 = 'due' and due_at <= clock_timestamp())
      order by id limit $3`,
    values: [after, state ?? null, limit],
  });
  return rows;
}
