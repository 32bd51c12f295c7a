import type pg from 'pg';
import type { DeviceName } from './key-packages.ts';
import type { WelcomeRow } from './welcomes.ts';

/** What account streams read for their device: Welcomes, and the state of its stock. */

/** A Welcome with the device that it is for; '' = every device of the user. */
export interface AddressedWelcome extends WelcomeRow {
  readonly user: string;
  readonly device: string;
}

/** Welcomes of these users that belong to entries of one conversation after `after`. */
export async function readWelcomesTo(
  pool: pg.Pool,
  conversation: string,
  users: readonly string[],
  after: number,
): Promise<AddressedWelcome[]> {
  const { rows } = await pool.query<AddressedWelcome>({
    name: 'read-welcomes-to',
    text: `select w.id, c.id as conversation, b.welcome, w.seq, w.epoch, w.user_id as user, w.device_id as device
      from (select id, key from conversation where id = $1 and deleted_at is null limit 1) c
      cross join unnest($2::text[]) u (user_id)
      cross join lateral (
        select * from welcome where conversation = c.key and user_id = u.user_id and seq > $3 order by device_id) w
      cross join lateral (
        select welcome from welcome_body where conversation = w.conversation and seq = w.seq limit 1) b`,
    values: [conversation, users, after],
  });
  return rows;
}

/** Welcomes that wait for a device, by id, which is the order of their making. @param after id to go on after */
export async function readWelcomes(
  pool: pg.Pool,
  { user, device }: DeviceName,
  after: string | undefined,
  limit: number,
): Promise<WelcomeRow[]> {
  const { rows } = await pool.query<WelcomeRow>({
    name: 'read-welcomes',
    text: `select w.id, c.id as conversation, b.welcome, w.seq, w.epoch
      from (select * from welcome where user_id = $1 and device_id in ($2, '') and ($3::text is null or id::text > $3)
            order by id::text limit $4) w
      left join lateral (select id, deleted_at from conversation where key = w.conversation limit 1) c on true
      left join lateral (
        select welcome from welcome_body where conversation = w.conversation and seq = w.seq limit 1) b on true
      where c.deleted_at is null and b.welcome is not null order by w.id`,
    values: [user, device, after ?? null, limit],
  });
  return rows;
}

/** What a stream needs to know of its device. */
export interface DeviceState {
  /** Microseconds since 1970, by the clock of the database. */
  readonly now: number;
  /** It is on record; a device that was forgotten is not. */
  readonly known: boolean;
  /** When a claim took its stock below the mark, in microseconds since 1970; null = there is enough. */
  readonly lowSince: number | null;
  /** Key packages in store. */
  readonly available: number;
}

const MICROSECONDS = (time: string): string => `(extract(epoch from ${time}) * 1000000)::bigint`;

/** How a device stands. */
export async function readDeviceState(pool: pg.Pool, { user, device }: DeviceName): Promise<DeviceState> {
  const { rows } = await pool.query<DeviceState>({
    name: 'read-device-state',
    text: `select ${MICROSECONDS('clock_timestamp()')} as now, d.user_id is not null as known,
        ${MICROSECONDS('d.low_stock_at')} as "lowSince",
        case when d.low_stock_at is null then 0 else count_available($1, $2, 2147483647) end as available
      from (select 1) one
      left join lateral (select * from device where user_id = $1 and device_id = $2 limit 1) d on true`,
    values: [user, device],
  });
  const [row] = rows;
  if (row === undefined) throw new TypeError('There is always a row');
  return row;
}

/** Devices whose stock became low of late: for streams that missed the notification. */
export async function readLowDevices(pool: pg.Pool): Promise<(DeviceName & { readonly lowSince: number })[]> {
  const { rows } = await pool.query<DeviceName & { readonly lowSince: number }>({
    name: 'read-low-devices',
    text: `select user_id as user, device_id as device, ${MICROSECONDS('low_stock_at')} as "lowSince"
      from device where low_stock_at > statement_timestamp() - interval '15 seconds' order by low_stock_at limit 1000`,
  });
  return rows;
}
