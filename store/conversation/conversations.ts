import type pg from 'pg';
import { type Refused, parseOutcome } from '../../domain/outcome.ts';
import type { Policy } from '../../domain/policy.ts';
import { UNREAD } from '../log/unread.ts';
import { type Row, integer, object, objects, oneOf, onlyRow, orNull, text, time } from '../row.ts';

export interface NewConversation {
  readonly id: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly creator: string;
  /** Members of the group at `epoch`. The creator is a member also when it is not in the list. */
  readonly members: readonly string[];
  readonly policy: Policy;
  readonly groupInfo?: Uint8Array | undefined;
  /** sha256 of the creation request. */
  readonly fingerprint: Uint8Array;
}

/** A conversation as one user may see it in a list. A former member sees it as it was when the user left. */
export interface ConversationSummary {
  readonly id: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly lastSeq: number;
  readonly memberCount: number;
  readonly role: 'admin' | 'member' | 'removed';
  readonly unread: number;
  /** JSON of a {@link Policy}, as it is stored and sent. */
  readonly policy: Row;
  readonly createdAt: Date;
  /** Former member: the last entry it may read. Member: null. */
  readonly leftSeq: number | null;
}

/** First and last entry that a user may read while it is a member once; without `to` the user is a member now. */
export interface MembershipInterval {
  readonly from: number;
  readonly to?: number;
}

/** A conversation as one user may see it. */
export interface ConversationView extends ConversationSummary {
  /** Membership intervals of the user, in order. */
  readonly periods: readonly MembershipInterval[];
  /** Id of the conversation that replaced this one; null for former members. */
  readonly successor: string | null;
  /** Why the user may decide nothing here yet: it has no leaf in the group (step 8 of the order of checks). Null = it has. */
  readonly pendingJoin: string | null;
}

const CREATE_RESULTS = ['created', 'duplicate', 'conversation-exists'] as const;

/**
 * Creates a conversation.
 * @returns `duplicate`: the same creator sent the same content before. A refusal: the creator may not make all of these
 * users members
 */
export async function createConversation(
  pool: pg.Pool,
  create: NewConversation,
): Promise<(typeof CREATE_RESULTS)[number] | Refused> {
  const { rows } = await pool.query<Row>({
    name: 'create-conversation',
    text: 'select create_conversation($1, $2, $3, $4, $5, $6, $7, $8) as result',
    values: [
      create.id,
      create.protocol,
      create.epoch,
      create.creator,
      create.members,
      JSON.stringify(create.policy),
      create.groupInfo ?? null,
      create.fingerprint,
    ],
  });
  const row = onlyRow(rows, 'create-conversation');
  if (text(row, 'result').startsWith('{')) {
    const refusal = parseOutcome('commit', JSON.parse(text(row, 'result')));
    if (refusal.status === 'refused') return refusal;
  }
  return oneOf(row, 'result', CREATE_RESULTS);
}

/** Columns of `conversation c` and `member m`. */
export const SUMMARY = `
  c.id, c.protocol,
  coalesce(m.left_epoch, c.epoch) as epoch,
  coalesce(m.left_seq, c.last_seq) as "lastSeq",
  case when m.left_seq is null then c.member_count
    else (select count(*)::int from period p where p.conversation = c.key and p.from_seq <= m.left_seq
            and (p.to_seq is null or p.to_seq > m.left_seq)) end as "memberCount",
  case when m.left_seq is null then m.role else 'removed' end as role,
  case when m.left_seq is null then ${UNREAD} else 0 end as unread,
  coalesce(m.left_policy, c.policy) as policy,
  c.created_at as "createdAt",
  m.left_seq as "leftSeq"`;

/** @param row {@link SUMMARY} */
export function parseSummary(row: Row): ConversationSummary {
  return {
    id: text(row, 'id'),
    protocol: oneOf(row, 'protocol', ['mls', 'opaque']),
    epoch: integer(row, 'epoch'),
    lastSeq: integer(row, 'lastSeq'),
    memberCount: integer(row, 'memberCount'),
    role: oneOf(row, 'role', ['admin', 'member', 'removed']),
    unread: integer(row, 'unread'),
    policy: object(row, 'policy'),
    createdAt: time(row, 'createdAt'),
    leftSeq: orNull(integer, row, 'leftSeq'),
  };
}

function parseInterval(row: Row): MembershipInterval {
  const from = integer(row, 'from');
  return 'to' in row ? { from, to: integer(row, 'to') } : { from };
}

/** The conversation as the user sees it. @returns `undefined` when it does not exist for this user */
export async function viewConversation(pool: pg.Pool, id: string, user: string): Promise<ConversationView | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'view-conversation',
    text: `select ${SUMMARY}, case when m.left_seq is null then c.successor end as successor,
        pending_join_refusal(m.awaited) ->> 'detail' as "pendingJoin",
        (select jsonb_agg(jsonb_build_object('from', p.from_seq)
            || case when p.to_seq is null then '{}' else jsonb_build_object('to', p.to_seq) end order by p.from_seq)
         from period p where p.conversation = c.key and p.user_id = m.user_id) as periods
      from (select * from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (select * from member where conversation = c.key and user_id = $2 limit 1) m`,
    values: [id, user],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    ...parseSummary(row),
    periods: objects(row, 'periods').map(parseInterval),
    successor: orNull(text, row, 'successor'),
    pendingJoin: orNull(text, row, 'pendingJoin'),
  };
}
