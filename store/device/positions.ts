import type pg from 'pg';
import type { Position } from '../../domain/position.ts';
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
      /** Conversations whose log does not go on from the position: what the user may read of it. For them nothing was stored. */
      readonly restarted: Readonly<Record<string, { readonly lastSeq: number; readonly oldestSeq: number }>>;
    }
  /** Nothing was stored: the plain seq in this conversation is above the last entry that the user may read. */
  | { readonly status: 'ahead'; readonly conversation: string; readonly lastSeq: number };

/**
 * Stores how far a device has come in many conversations, in one statement. Positions only move forward, except that one which the
 * log does not have (any more) is replaced. Conversations that its user may not see are left out. Position 0 says
 * that the device knows the conversation as it was created; of those who joined later it says nothing, and is not stored.
 * @param positions by conversation id
 */
export async function acknowledge(
  pool: pg.Pool,
  { user, device }: DeviceName,
  positions: ReadonlyMap<string, Position>,
): Promise<Acknowledged> {
  const { rows } = await pool.query<Row>({
    name: 'acknowledge',
    text: `with seen as materialized (
        select g.id, g.seq, g.mark, c.key, m.joined_seq, coalesce(m.left_seq, c.last_seq) as last_seq,
          least(c.oldest_seq, coalesce(m.left_seq + 1, c.oldest_seq)) as oldest_seq,
          judge_position(c, m, g.seq, g.mark) = 'restarted' as lost,
          d.seq is not null and judge_position(c, m, d.seq, d.mark) = 'restarted' as replaces
        from unnest($3::text[], $4::bigint[], $5::text[]) g (id, seq, mark)
        cross join lateral (select * from conversation where id = g.id and deleted_at is null limit 1) c
        cross join lateral (select * from member where conversation = c.key and user_id = $1 limit 1) m
        left join lateral (
          select seq, mark from device_position where user_id = $1 and device_id = $2 and conversation = c.key limit 1) d on true
      ), ahead as (
        select from seen where lost and mark is null
      ), stored as (
        insert into device_position as p (user_id, device_id, conversation, seq, mark)
          select $1, $2, key, seq, mark from seen
          where (seq > 0 or joined_seq = 0) and not lost and not exists (select from ahead) order by key
          on conflict (user_id, device_id, conversation) do update
            set seq = case when excluded.seq > p.seq or (select replaces from seen where key = p.conversation) then excluded.seq else p.seq end,
              mark = case when excluded.seq > p.seq or (select replaces from seen where key = p.conversation)
                or excluded.seq = p.seq and excluded.mark is not null then excluded.mark else p.mark end,
              at = clock_timestamp()
          returning conversation, seq
      ), woken as (
        ${ACKNOWLEDGE_WAKE} and not exists (select from ahead)
      )
      select s.id, s.last_seq as "lastSeq", s.oldest_seq as "oldestSeq", s.lost, s.lost and s.mark is null as ahead,
        coalesce((select seq from stored where conversation = s.key), (
          select seq from device_position where user_id = $1 and device_id = $2 and conversation = s.key limit 1), 0
        ) as position
      from seen s`,
    values: [
      user,
      device,
      [...positions.keys()],
      [...positions.values()].map(({ seq }) => seq),
      [...positions.values()].map(({ mark }) => mark ?? null),
    ],
  });
  const ahead = rows.find((row) => flag(row, 'ahead'));
  if (ahead !== undefined) {
    return { status: 'ahead', conversation: text(ahead, 'id'), lastSeq: integer(ahead, 'lastSeq') };
  }
  const lost = rows.filter((row) => flag(row, 'lost'));
  const stored = rows.filter((row) => !flag(row, 'lost'));
  return {
    status: 'stored',
    positions: Object.fromEntries(stored.map((row) => [text(row, 'id'), integer(row, 'position')] as const)),
    restarted: Object.fromEntries(
      lost.map((row) => {
        const ends = { lastSeq: integer(row, 'lastSeq'), oldestSeq: integer(row, 'oldestSeq') };
        return [text(row, 'id'), ends] as const;
      }),
    ),
  };
}

/** A conversation that the account stream of one device follows, as it stands when the stream begins to follow it. */
export interface FollowedConversation {
  readonly user: string;
  readonly device: string;
  readonly conversation: string;
  /** Seq that the device acknowledged; null = none yet. */
  readonly position: number | null;
  /** Of the log at the position, if the device stated it. */
  readonly mark: string | undefined;
  /** First entry of the user's latest membership interval; 0 = member since the creation. */
  readonly joinedSeq: number;
  /** Former member: the last entry it may read. Member: null. */
  readonly leftSeq: number | null;
  /** There are entries after the position, or changes that are to be delivered; or the log does not go on from there. */
  readonly behind: boolean;
  /** The read mark of the user (`READ_MARK`). */
  readonly readMark: string;
  /** Of the changes at the position: those up to this key are not delivered (again). */
  readonly changeKey: number;
  /** There were so many of them that one event stands for all. */
  readonly hasManyChanges: boolean;
  /** Id of the conversation that replaced this one. */
  readonly successor: string | null;
}

// Former members get the rest for 30 days, and the event that they left until their device acknowledges again. Changes at
// the position itself count as news, because an acknowledgement says nothing about them; but who acknowledged 0 knows the
// conversation as it was created. They come again at each start of a stream until a later entry is acknowledged, so there are
// few: more are one event.
const FOLLOWED = `
  select n.user_id as user, n.device_id as device, c.id as conversation, d.seq as position, d.mark, m.joined_seq as "joinedSeq",
    m.left_seq as "leftSeq", ${READ_MARK} as "readMark", (d.seq is null or m.left_seq is not null or c.last_seq <> d.seq
       or coalesce(position_mark(c.chain) <> d.mark, false)
      or ${existsByKey('change x where x.conversation = c.key and (x.seq, x.key) > (d.seq, k.key)')}) as behind,
    k.key as "changeKey", k.events > max_member_events() as "hasManyChanges", c.successor`;
/** Of the changes at the position of a device the last ones: each makes an event, or one for each of some users. */
const CHANGES_AT_POSITION = `
  left join lateral (
    select key from (
      select key, kind from change where conversation = c.key and seq = 0 and d.seq = 0 order by key limit 1) x
    where kind = 'added') first on true
  cross join lateral (
    select coalesce(sum(case
        when kind not in ('added', 'removed') or jsonb_array_length(data -> 'users') > max_member_events() then 1
        else jsonb_array_length(data -> 'users') end), 0)::int as events, max(key) as key
    from (
      select key, kind, data from change where conversation = c.key and seq = d.seq and key > coalesce(first.key, 0)
      order by key desc limit max_member_events() + 1) x) again
  cross join lateral (
    select again.events, coalesce(case when again.events > max_member_events() then again.key else first.key end, 0) as key) k`;
const FOLLOWED_WHERE = `
  left join lateral (
    select seq, mark, at from device_position
    where user_id = n.user_id and device_id = n.device_id and conversation = m.conversation limit 1) d on true
  ${CHANGES_AT_POSITION}
  where c.deleted_at is null
    and (m.left_seq is null or (m.left_at > clock_timestamp() - former_member_lifetime()
      and (coalesce(d.seq, -1) < m.left_seq or d.at < m.left_at)))`;

function parseFollowed(row: Row): FollowedConversation {
  return {
    user: text(row, 'user'),
    device: text(row, 'device'),
    conversation: text(row, 'conversation'),
    position: orNull(integer, row, 'position'),
    mark: orNull(text, row, 'mark') ?? undefined,
    joinedSeq: integer(row, 'joinedSeq'),
    leftSeq: orNull(integer, row, 'leftSeq'),
    behind: flag(row, 'behind'),
    readMark: text(row, 'readMark'),
    changeKey: integer(row, 'changeKey'),
    hasManyChanges: flag(row, 'hasManyChanges'),
    successor: orNull(text, row, 'successor'),
  };
}

/** Memberships that one read looks at. */
const FOLLOWED_PAGE = 1000;

/** The conversations that the account stream of a device follows, some at a time. */
export async function* listFollowedConversations(
  pool: pg.Pool,
  { user, device }: DeviceName,
): AsyncGenerator<FollowedConversation[], void, void> {
  for (let after = 0; ;) {
    const { rows } = await pool.query<Row>({
      name: 'list-followed-conversations',
      // The last membership is in the result also when it is not followed: the next read begins after it.
      text: `with m as materialized (
          select * from member where user_id = $1 and (user_id, conversation) > ($1::text, $3::bigint)
          order by user_id, conversation limit ${FOLLOWED_PAGE})
        select f.*, z.last from (
          select case when count(*) = ${FOLLOWED_PAGE} then max(conversation) end as last from m) z
        left join (${FOLLOWED}
          from (select $1::text collate "C" as user_id, $2::text collate "C" as device_id) n
          cross join m
          cross join lateral (select * from conversation where key = m.conversation limit 1) c ${FOLLOWED_WHERE}) f on true`,
      values: [user, device, after],
    });
    const [first] = rows;
    if (first !== undefined && first.conversation !== null) yield rows.map(parseFollowed);
    const last = first === undefined ? null : orNull(integer, first, 'last');
    if (last === null) return;
    after = last;
  }
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
