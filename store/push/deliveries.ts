import type pg from 'pg';
import type { PushTarget } from '../../domain/push.ts';
import { UNREAD } from '../log/unread.ts';
import { type Row, flag, integer, onlyRow, orNull, text, time } from '../row.ts';
import { parseTarget } from './targets.ts';

/** A wake-up that is to be sent to a device. */
export interface Wake {
  /** Of the target. */
  readonly key: number;
  /** UUID, the same in every try. */
  readonly id: string;
  readonly target: PushTarget;
  readonly isHigh: boolean;
  readonly wokenAt: Date;
  /** Tries that failed. */
  readonly attempts: number;
  /** Id of the conversation with the entry. */
  readonly conversation: string | null;
  /** Entries of that conversation that the user has not read. */
  readonly unread: number | null;
}

/** What one look found. */
export interface Look {
  readonly wakes: readonly Wake[];
  /** Devices that had acknowledged the entry while their wake-up was held. */
  readonly acknowledged: number;
  /** Devices that mute the conversation. */
  readonly muted: number;
}

/** Columns of a wake. `t` = the target. */
const WAKE = `t.key, t.wake_id as id, t.kind, t.endpoint, t.p256dh, t.auth, t.app, t.wake_high as "isHigh",
  t.woken_at as "wokenAt", t.attempts, f.conversation, f.unread`;
const FACTS = `left join lateral (
    select c.id as conversation, ${UNREAD} as unread
    from conversation c cross join lateral (
      select * from member where conversation = c.key and user_id = t.user_id limit 1) m
    where c.key = t.wake_conversation limit 1) f on true`;

/** Conversations of one look. Rows of devices stay locked until it ends. */
const CONVERSATIONS = 20;
/** Devices of one look. */
const DEVICES = 50;
const CURSORS = 100;
const LAPSES = 1000;

function parseWake(row: Row): Wake {
  return {
    key: integer(row, 'key'),
    id: text(row, 'id'),
    target: parseTarget(row),
    isHigh: flag(row, 'isHigh'),
    wokenAt: time(row, 'wokenAt'),
    attempts: integer(row, 'attempts'),
    conversation: orNull(text, row, 'conversation'),
    unread: orNull(integer, row, 'unread'),
  };
}

/** Looks at conversations with new entries, and marks the devices that are to be woken for them. */
export async function lookForWakes(pool: pg.Pool): Promise<Look> {
  const { rows } = await pool.query<Row>({
    name: 'push-look',
    text: `select l.acknowledged, l.muted, ${WAKE} from push_look($1) l
      left join lateral unnest(l.targets) t on true ${FACTS}`,
    values: [CONVERSATIONS],
  });
  const counts = onlyRow(rows.slice(0, 1), 'push-look');
  return {
    wakes: rows.filter((row) => row.key !== null).map(parseWake),
    acknowledged: integer(counts, 'acknowledged'),
    muted: integer(counts, 'muted'),
  };
}

/** Looks at devices that have acknowledged something, and marks those that are to be woken for what came meanwhile. */
export async function lookAtDevices(pool: pg.Pool): Promise<Wake[]> {
  const { rows } = await pool.query<Row>({
    name: 'push-check',
    text: `select ${WAKE} from push_check($1) t ${FACTS}`,
    values: [DEVICES],
  });
  return rows.map(parseWake);
}

/**
 * Takes wake-ups whose time to be sent has come, for the length of a lease.
 * @param which `lost` = of processes that ended before they could say whether they had sent it; `failed` = those of failing targets
 */
export async function takeDueWakes(pool: pg.Pool, which: 'lost' | 'failed', limit: number): Promise<Wake[]> {
  const { rows } = await pool.query<Row>({
    name: 'take-due-wakes',
    text: `with t as (
        update push_target set due_at = clock_timestamp() + push_lease() where key = any (array(
          select key from push_target where due_at <= clock_timestamp() and (attempts > 0) = $1
          order by due_at limit $2 for update skip locked))
        returning *
      )
      select ${WAKE} from t ${FACTS}`,
    values: [which === 'failed', limit],
  });
  return rows.map(parseWake);
}

/** How the try to send a wake-up ended. */
export type Delivery = Pick<Wake, 'key' | 'id'> &
  (
    | { readonly state: 'sent' }
    /** It is given up, and the target stays. */
    | { readonly state: 'refused' }
    /** The target does not exist any more. */
    | { readonly state: 'gone' }
    /** It is tried again. */
    | { readonly state: 'failed'; readonly retryInMs: number }
    /** It was not tried, because other targets of the same service fail. */
    | { readonly state: 'postponed'; readonly retryInMs: number }
  );

/** Records how tries ended. Those whose device acknowledged or registered anew meanwhile are left alone. */
export async function recordDeliveries(pool: pg.Pool, deliveries: readonly Delivery[]): Promise<void> {
  await pool.query({
    name: 'record-deliveries',
    text: `with said as materialized (
        select * from unnest($1::bigint[], $2::uuid[], $3::text[], $4::float8[]) d (key, id, state, retry_ms) order by key
      ), mine as materialized (
        select t.key, d.state, d.retry_ms from said d
        cross join lateral (select key from push_target where key = d.key and wake_id = d.id and due_at is not null limit 1 for update) t
      ), gone as (
        delete from push_target where key = any (array(select key from mine where state = 'gone'))
      )
      update push_target t set attempts = t.attempts + case when m.state in ('failed', 'postponed') then 1 else 0 end,
          due_at = clock_timestamp() + make_interval(secs => m.retry_ms / 1000)
        from mine m where t.key = m.key and m.state <> 'gone'`,
    values: [
      deliveries.map(({ key }) => key),
      deliveries.map(({ id }) => id),
      deliveries.map(({ state }) => state),
      deliveries.map((one) => ('retryInMs' in one ? one.retryInMs : null)),
    ],
  });
}

/** Targets whose wake-up failed, and is to be sent again. */
export interface Failing {
  /** Counted up to a thousand. */
  readonly count: number;
  /** Until the first of them is due; milliseconds. */
  readonly nextInMs: number;
}

/** How many targets fail, up to a thousand. */
export async function readFailing(pool: pg.Pool): Promise<Failing> {
  const { rows } = await pool.query<Row>({
    name: 'read-failing-targets',
    text: `select count(*)::int as count,
        coalesce(ceil(extract(epoch from min(due_at) - clock_timestamp()) * 1000), 0)::bigint as "nextInMs"
      from (select due_at from push_target where due_at is not null and attempts > 0 order by due_at limit $1) t`,
    values: [LAPSES],
  });
  const row = onlyRow(rows, 'read-failing-targets');
  return { count: integer(row, 'count'), nextInMs: Math.max(0, integer(row, 'nextInMs')) };
}

/** Seconds for which the oldest wake-up that should have been sent has waited; 0 = none waits. */
export async function readOldestWake(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<Row>({
    name: 'read-oldest-wake',
    text: `select greatest(0,
        extract(epoch from clock_timestamp() - (select min(woken_at) from push_target where due_at is not null)),
        extract(epoch from clock_timestamp() - (select min(next_at) from push_cursor)))::float8 as seconds`,
  });
  const seconds = onlyRow(rows, 'read-oldest-wake').seconds;
  return typeof seconds === 'number' ? seconds : 0;
}

/** Ends the cursors of quiet conversations. */
export async function settleCursors(pool: pg.Pool): Promise<void> {
  await pool.query({ name: 'push-settle', text: 'select push_settle($1)', values: [CURSORS] });
}

/**
 * Ends wake-ups after their lifetime: their devices may be woken again.
 * @returns wake-ups that could not be sent in their lifetime
 */
export async function endOldWakes(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<Row>({
    name: 'end-old-wakes',
    text: `with old as materialized (
        select key, due_at is not null as unsent from push_target
        where woken and woken_at < clock_timestamp() - push_lifetime() order by woken_at limit $1 for update skip locked
      ), ended as (
        update push_target set woken = false, due_at = null, attempts = 0 where key = any (array(select key from old))
      )
      select count(*) filter (where unsent)::int as unsent from old`,
    values: [LAPSES],
  });
  return integer(onlyRow(rows, 'end-old-wakes'), 'unsent');
}
