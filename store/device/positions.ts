import type pg from 'pg';
import { isThere } from '../log/entries.ts';
import type { DeviceName } from '../key-package/key-packages.ts';

/** What became of acknowledged positions. */
export type Acknowledged =
  | {
      readonly status: 'stored';
      /** Of the device after it, for those conversations that its user may see. */
      readonly positions: Readonly<Record<string, number>>;
    }
  /** Nothing was stored: this one is above what the user may read. */
  | { readonly status: 'ahead'; readonly conversation: string; readonly lastSeq: number };

/**
 * Notes how far a device has come in many conversations, only forward: one statement. Conversations that its user may not
 * see are left out. Position 0 says nothing, and is not stored.
 * @param positions seq by conversation id
 */
export async function acknowledge(
  pool: pg.Pool,
  { user, device }: DeviceName,
  positions: ReadonlyMap<string, number>,
): Promise<Acknowledged> {
  const { rows } = await pool.query<{ id: string; lastSeq: number; ahead: boolean; position: number }>({
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
      )
      select s.id, s.last_seq as "lastSeq", s.seq > s.last_seq as ahead,
        coalesce((select seq from stored where conversation = s.key), (
          select seq from device_position where user_id = $1 and device_id = $2 and conversation = s.key limit 1), 0
        ) as position
      from seen s`,
    values: [user, device, [...positions.keys()], [...positions.values()]],
  });
  const ahead = rows.find((row) => row.ahead);
  if (ahead !== undefined) return { status: 'ahead', conversation: ahead.id, lastSeq: ahead.lastSeq };
  return { status: 'stored', positions: Object.fromEntries(rows.map(({ id, position }) => [id, position])) };
}

/** A conversation as the account stream of one device takes it up. */
export interface Followed {
  readonly user: string;
  readonly device: string;
  readonly conversation: string;
  /** Acknowledged by the device; null = nothing yet. */
  readonly position: number | null;
  /** First entry of the user's latest stay; 0 = it was there from the creation on. */
  readonly joinedSeq: number;
  /** Last entry that a former member may read; null = is a member. */
  readonly leftSeq: number | null;
  /** There is something after the position, or told with it. */
  readonly behind: boolean;
}

// Former members are told the rest for 30 days, and that they left until their device acknowledges again. What was told
// with the position itself is told again.
const FOLLOWED = `
  select n.user_id as user, n.device_id as device, c.id as conversation, d.seq as position, m.joined_seq as "joinedSeq",
    m.left_seq as "leftSeq", (d.seq is null or m.left_seq is not null or c.last_seq > d.seq
      or ${isThere('change x where x.conversation = c.key and x.seq >= d.seq')}) as behind`;
const FOLLOWED_WHERE = `
  left join lateral (
    select seq, at from device_position
    where user_id = n.user_id and device_id = n.device_id and conversation = m.conversation limit 1) d on true
  where c.deleted_at is null
    and (m.left_seq is null or (m.left_at > clock_timestamp() - former_member_lifetime()
      and (coalesce(d.seq, -1) < m.left_seq or d.at < m.left_at)))`;

/** All conversations that an account stream of the device takes up. */
export async function listFollowed(pool: pg.Pool, { user, device }: DeviceName): Promise<Followed[]> {
  const { rows } = await pool.query<Followed>({
    name: 'list-followed',
    text: `${FOLLOWED}
      from (select $1::text collate "C" as user_id, $2::text collate "C" as device_id) n
      cross join lateral (select * from member where user_id = n.user_id) m
      cross join lateral (select * from conversation where key = m.conversation limit 1) c ${FOLLOWED_WHERE}`,
    values: [user, device],
  });
  return rows;
}

/** One conversation as the account streams of these devices take it up; without those whose user may not. */
export async function readFollowed(
  pool: pg.Pool,
  conversation: string,
  devices: readonly DeviceName[],
): Promise<Followed[]> {
  const { rows } = await pool.query<Followed>({
    name: 'read-followed',
    text: `${FOLLOWED}
      from (select * from conversation where id = $1 limit 1) c
      cross join unnest($2::text[], $3::text[]) n (user_id, device_id)
      cross join lateral (select * from member where conversation = c.key and user_id = n.user_id limit 1) m
      ${FOLLOWED_WHERE}`,
    values: [conversation, devices.map(({ user }) => user), devices.map(({ device }) => device)],
  });
  return rows;
}
