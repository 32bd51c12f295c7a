import type pg from 'pg';
import type { DeviceName } from '../key-package/key-packages.ts';
import { type Row, flag, integer, orNull, text } from '../row.ts';
import { READ_MARK } from '../log/unread.ts';
import { ACKNOWLEDGE_WAKE } from '../push/targets.ts';
import { existsByKey } from '../sql-fragments.ts';

/** Result of an acknowledgement. */
export type Acknowledged =
  | {
      readonly status: 'stored';
      /** Positions of the device after it: seq by conversation id, of those that its user may see. */
      readonly positions: Readonly<Record<string, number>>;
    }
  /** Nothing was stored: the position in this conversation is above the last entry that the user may read. */
  | { readonly status: 'ahead'; readonly conversation: string; readonly lastSeq: number };

/**
 * Stores how far a device has come in many conversations, in one statement. Positions only move forward. Conversations
 * that its user may not see are left out. Position 0 means nothing was read, and is not stored.
 * @param positions seq by conversation id
 */
export async function acknowledge(
  pool: pg.Pool,
  { user, device }: DeviceName,
  positions: ReadonlyMap<string, number>,
): Promise<Acknowledged> {
  const { rows } = await pool.query<Row>({
    name: 'acknowledge',
    text: `with seen as materialized (
        select g.id, g.seq, c.key, coalesce(m.left_seq, c.last_seq) as last_seq
        from unnest($3::text[], $4::bigint[]) g (id, seq)
        cross join lateral (select * from conversation where id = g.id and deleted_at is null limit 1) c
        cross join lateral (select * from member where conversation = c.key and user_id = $1 limit 1) m
      ), stored as (
        insert into device_position (user_id, device_id, conversation, seq)
          select $1, $2, key, seq from seen
          where seq > 0 and not exists (select from seen where seq > last_seq) order by key
          on conflict (user_id, device_id, conversation) do update
            set seq = greatest(device_position.seq, excluded.seq), at = clock_timestamp()
          returning conversation, seq
      ), woken as (
        ${ACKNOWLEDGE_WAKE} and not exists (select from seen where seq > last_seq)
      )
      select s.id, s.last_seq as "lastSeq", s.seq > s.last_seq as ahead,
        coalesce((select seq from stored where conversation = s.key), (
          select seq from device_position where user_id = $1 and device_id = $2 and conversation = s.key limit 1), 0
        ) as position
      from seen s`,
    values: [user, device, [...positions.keys()], [...positions.values()]],
  });
  const ahead = rows.find((row) => flag(row, 'ahead'));
  if (ahead !== undefined) {
    return { status: 'ahead', conversation: text(ahead, 'id'), lastSeq: integer(ahead, 'lastSeq') };
  }
  const stored = rows.map((row) => [text(row, 'id'), integer(row, 'position')] as const);
  return { status: 'stored', positions: Object.fromEntries(stored) };
}

/** A conversation that the account stream of one device follows, as it stands when the stream begins to follow it. */
export interface FollowedConversation {
  readonly user: string;
  readonly device: string;
  readonly conversation: string;
  /** Seq that the device acknowledged; null = none yet. */
  readonly position: number | null;
  /** First entry of the user's latest membership interval; 0 = member since the creation. */
  readonly joinedSeq: number;
  /** Former member: the last entry it may read. Member: null. */
  readonly leftSeq: number | null;
  /** There are entries after the position, or changes at it or after it. */
  readonly behind: boolean;
  /** The read mark of the user (`READ_MARK`). */
  readonly mark: string;
}

// Former members get the rest for 30 days, and the event that they left until their device acknowledges again. Changes at
// the position itself count as news, because an acknowledgement says nothing about them.
const FOLLOWED = `
  select n.user_id as user, n.device_id as device, c.id as conversation, d.seq as position, m.joined_seq as "joinedSeq",
    m.left_seq as "leftSeq", ${READ_MARK} as mark, (d.seq is null or m.left_seq is not null or c.last_seq > d.seq
      or ${existsByKey('change x where x.conversation = c.key and x.seq >= d.seq')}) as behind`;
const FOLLOWED_WHERE = `
  left join lateral (
    select seq, at from device_position
    where user_id = n.user_id and device_id = n.device_id and conversation = m.conversation limit 1) d on true
  where c.deleted_at is null
    and (m.left_seq is null or (m.left_at > clock_timestamp() - former_member_lifetime()
      and (coalesce(d.seq, -1) < m.left_seq or d.at < m.left_at)))`;

function parseFollowed(row: Row): FollowedConversation {
  return {
    user: text(row, 'user'),
    device: text(row, 'device'),
    conversation: text(row, 'conversation'),
    position: orNull(integer, row, 'position'),
    joinedSeq: integer(row, 'joinedSeq'),
    leftSeq: orNull(integer, row, 'leftSeq'),
    behind: flag(row, 'behind'),
    mark: text(row, 'mark'),
  };
}

/** All conversations that the account stream of a device follows. */
export async function listFollowedConversations(
  pool: pg.Pool,
  { user, device }: DeviceName,
): Promise<FollowedConversation[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-followed-conversations',
    text: `${FOLLOWED}
      from (select $1::text collate "C" as user_id, $2::text collate "C" as device_id) n
      cross join lateral (select * from member where user_id = n.user_id) m
      cross join lateral (select * from conversation where key = m.conversation limit 1) c ${FOLLOWED_WHERE}`,
    values: [user, device],
  });
  return rows.map(parseFollowed);
}

/** One conversation, for the account streams of several devices; without devices whose user may not follow it. */
export async function readFollowedConversation(
  pool: pg.Pool,
  conversation: string,
  devices: readonly DeviceName[],
): Promise<FollowedConversation[]> {
  const { rows } = await pool.query<Row>({
    name: 'read-followed-conversation',
    text: `${FOLLOWED}
      from (select * from conversation where id = $1 limit 1) c
      cross join unnest($2::text[], $3::text[]) n (user_id, device_id)
      cross join lateral (select * from member where conversation = c.key and user_id = n.user_id limit 1) m
      ${FOLLOWED_WHERE}`,
    values: [conversation, devices.map(({ user }) => user), devices.map(({ device }) => device)],
  });
  return rows.map(parseFollowed);
}
