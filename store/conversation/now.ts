import type pg from 'pg';
import { type Row, bytes, integer, oneOf, orNull, time } from '../row.ts';
import { CONVERSATION_STATES, type ConversationState, STATE } from './overview.ts';
import { MAX_COUNTED } from './waiting.ts';

/** A conversation as it is now, for those who watch it. */
export interface ConversationNow {
  readonly state: ConversationState;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly lastSeq: number;
  readonly oldestSeq: number;
  /** After the last entry, 32 bytes; null = the log has none there. */
  readonly chain: Uint8Array | null;
  readonly members: number;
  readonly retentionDays: number | null;
  readonly commitRetentionDays: number | null;
  readonly dueAt: Date | null;
  /** Rows that wait for a decision, counted up to `MAX_COUNTED`. */
  readonly staged: number;
  readonly increments: number;
}

/**
 * Reads it, without waiting for anybody who decides.
 * @param isResetOpen as it was a moment ago: after reports, a count over all members finds it out. Absent = it is counted
 * @returns `undefined` when there is no such conversation
 */
export async function readConversationNow(
  pool: pg.Pool,
  id: string,
  isResetOpen?: boolean,
): Promise<ConversationNow | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'read-conversation-now',
    text: `select protocol, epoch, last_seq as "lastSeq", oldest_seq as "oldestSeq", member_count as members,
        case when $3::boolean is null or deleted_at is not null or successor is not null then ${STATE}
          when $3 then 'reset-open' else 'active' end as state,
        case when chain_base = 0 or last_seq > chain_base then chain end as chain, due_at as "dueAt",
        (policy ->> 'retentionDays')::int as "retentionDays", (policy ->> 'commitRetentionDays')::int as "commitRetentionDays",
        (select count(*)::int from (select from staged where conversation = c.key limit $2) s) as staged,
        (select count(*)::int from (select from pending_increment where conversation = c.key limit $2) p) as increments
      from (select conversation, conversation.* from conversation where id = $1 limit 1) c`,
    values: [id, MAX_COUNTED, isResetOpen ?? null],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    state: oneOf(row, 'state', CONVERSATION_STATES),
    protocol: oneOf(row, 'protocol', ['mls', 'opaque']),
    epoch: integer(row, 'epoch'),
    lastSeq: integer(row, 'lastSeq'),
    oldestSeq: integer(row, 'oldestSeq'),
    chain: orNull(bytes, row, 'chain'),
    members: integer(row, 'members'),
    retentionDays: orNull(integer, row, 'retentionDays'),
    commitRetentionDays: orNull(integer, row, 'commitRetentionDays'),
    dueAt: orNull(time, row, 'dueAt'),
    staged: integer(row, 'staged'),
    increments: integer(row, 'increments'),
  };
}
