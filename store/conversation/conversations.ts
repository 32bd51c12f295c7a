import type pg from 'pg';
import type { Policy } from '../../domain/policy.ts';

export interface NewConversation {
  readonly id: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly creator: string;
  /** The group as it stands at `epoch`; the creator belongs to it anyway. */
  readonly members: readonly string[];
  readonly policy: Policy;
  readonly groupInfo?: Uint8Array | undefined;
  /** sha256 of the creation request. */
  readonly fingerprint: Uint8Array;
}

/** A conversation as one user may see it; of a former member, as it stood when it left. */
export interface ConversationView {
  readonly id: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly lastSeq: number;
  readonly memberCount: number;
  readonly role: 'admin' | 'member' | 'removed';
  readonly unread: number;
  readonly policy: Policy;
  readonly periods: readonly { readonly from: number; readonly to?: number }[];
  readonly createdAt: Date;
  /** The conversation that took over; of members only. */
  readonly successor: string | null;
  /** Set for former members: the last entry they may read. */
  readonly leftSeq: number | null;
}

/** Creates a conversation. `duplicate`: the same creator sent the same content before. */
export async function createConversation(
  pool: pg.Pool,
  create: NewConversation,
): Promise<'created' | 'duplicate' | 'conversation-exists'> {
  const { rows } = await pool.query<{ result: 'created' | 'duplicate' | 'conversation-exists' }>({
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
  return rows[0]?.result ?? 'conversation-exists';
}

// A former member sees the conversation as it was when it left. Unread: application entries after the read position, plus
// explicit increments (invariant 7).
const VIEW = `
  c.id, c.protocol,
  coalesce(m.left_epoch, c.epoch) as epoch,
  coalesce(m.left_seq, c.last_seq) as "lastSeq",
  case when m.left_seq is null then c.member_count
    else (select count(*)::int from period p where p.conversation = c.key and p.from_seq <= m.left_seq
            and (p.to_seq is null or p.to_seq > m.left_seq)) end as "memberCount",
  case when m.left_seq is null then m.role else 'removed' end as role,
  case when m.left_seq is null then c.app_count - m.read_count + c.increments - m.increments_base else 0 end as unread,
  coalesce(m.left_policy, c.policy) as policy,
  c.created_at as "createdAt",
  m.left_seq as "leftSeq"`;

/** The conversation as the user sees it; `undefined` = it does not exist for this user. */
export async function viewConversation(pool: pg.Pool, id: string, user: string): Promise<ConversationView | undefined> {
  const { rows } = await pool.query<ConversationView>({
    name: 'view-conversation',
    text: `select ${VIEW}, case when m.left_seq is null then c.successor end as successor,
        (select jsonb_agg(jsonb_build_object('from', p.from_seq)
            || case when p.to_seq is null then '{}' else jsonb_build_object('to', p.to_seq) end order by p.from_seq)
         from period p where p.conversation = c.key and p.user_id = m.user_id) as periods
      from (select * from conversation where id = $1 and deleted_at is null limit 1) c
      cross join lateral (select * from member where conversation = c.key and user_id = $2 limit 1) m`,
    values: [id, user],
  });
  return rows[0];
}

/**
 * Conversations of a user, by id. Those it left stay for 30 days. `lateral` keeps it from walking through all
 * conversations in the order of their ids.
 * @param after id to go on after; '' = from the start
 */
export async function listConversations(
  pool: pg.Pool,
  user: string,
  after: string,
  limit: number,
): Promise<Omit<ConversationView, 'periods' | 'successor'>[]> {
  const { rows } = await pool.query<Omit<ConversationView, 'periods' | 'successor'>>({
    name: 'list-conversations',
    text: `select ${VIEW}
      from member m cross join lateral (select * from conversation where key = m.conversation limit 1) c
      where m.user_id = $1 and c.id > $2 and c.deleted_at is null
        and (m.left_at is null or m.left_at > clock_timestamp() - former_member_lifetime())
      order by c.id limit $3`,
    values: [user, after, limit],
  });
  return rows;
}

/** The protocol of a conversation that anyone may join by an external commit; `undefined` for all others. */
export async function findOpen(pool: pg.Pool, id: string): Promise<'mls' | 'opaque' | undefined> {
  const { rows } = await pool.query<{ protocol: 'mls' | 'opaque' }>({
    name: 'find-open',
    text: `select protocol from conversation
      where id = $1 and deleted_at is null and policy ->> 'externalJoin' = 'anyone' limit 1`,
    values: [id],
  });
  return rows[0]?.protocol;
}
