import type pg from 'pg';
import { LOW_STOCK_KEY_PACKAGES } from '../../domain/limits.ts';
import { isThere } from '../log/entries.ts';
import type { DeviceName } from '../key-package/key-packages.ts';
import type { WelcomeRow } from '../welcome/welcomes.ts';

/** What account streams read for their device: its Welcomes, and how it stands. */

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

const MICROSECONDS = (time: string): string => `(extract(epoch from ${time}) * 1000000)::bigint`;

/** The stock of a device, when it is low. */
export interface LowStock {
  /** When it became so, in microseconds since 1970. */
  readonly lowSince: number;
  /** Key packages in store. */
  readonly available: number;
}

/** A stream `/v1/events` as it is opened. */
export interface OpenedStream {
  /** Microseconds since 1970, by the clock of the database. */
  readonly openedAt: number;
  /** Null = there is enough, or the device never uploaded any. */
  readonly lowSince: number | null;
  readonly available: number;
}

/**
 * Puts a device on record with the stream that it opens, which replaces the one before. What expired in its stock since
 * anybody looked is found here.
 */
export async function openStream(pool: pg.Pool, { user, device }: DeviceName, id: string): Promise<OpenedStream> {
  const { rows } = await pool.query<OpenedStream>({
    name: 'open-stream',
    text: `with opened as (
        insert into device (user_id, device_id, stream_id, stream_at, low_stock_at)
        values ($1, $2, $3, clock_timestamp(), case
          when ${isThere('key_package where user_id = $1 and device_id = $2')} and count_available($1, $2, $4) < $4
          then clock_timestamp() end)
        on conflict (user_id, device_id) do update set seen_at = clock_timestamp(), stream_id = excluded.stream_id,
          stream_at = greatest(clock_timestamp(), device.stream_at + interval '1 microsecond'),
          low_stock_at = coalesce(device.low_stock_at, excluded.low_stock_at)
        returning stream_at, low_stock_at
      )
      select ${MICROSECONDS('stream_at')} as "openedAt", ${MICROSECONDS('low_stock_at')} as "lowSince",
        case when low_stock_at is null then 0 else count_available($1, $2, 2147483647) end as available
      from opened`,
    values: [user, device, id, LOW_STOCK_KEY_PACKAGES],
  });
  const [row] = rows;
  if (row === undefined) throw new TypeError('There is always a row');
  return row;
}

/** An open stream `/v1/events`, with what it told. */
export interface ToldStream extends DeviceName {
  readonly id: string;
  /** Of the low stock that it told last. */
  readonly lowSince: number | null;
}

/** What a stream has yet to learn of its device: that it is no longer the stream of it, or that its stock is low. */
export type DeviceNews =
  { readonly id: string; readonly ended: true } | ({ readonly id: string; readonly ended: false } & LowStock);

/** News for open streams: of those whose device was forgotten or has a newer stream, and of low stocks. */
export async function readDeviceNews(pool: pg.Pool, streams: readonly ToldStream[]): Promise<DeviceNews[]> {
  const { rows } = await pool.query<DeviceNews>({
    name: 'read-device-news',
    text: `select s.id, d.stream_id is distinct from s.id as ended, ${MICROSECONDS('d.low_stock_at')} as "lowSince",
        case when d.stream_id = s.id then count_available(s.user_id, s.device_id, 2147483647) end as available
      from unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[]) s (user_id, device_id, id, low_since)
      left join lateral (select * from device where user_id = s.user_id and device_id = s.device_id limit 1) d on true
      where d.stream_id is distinct from s.id or ${MICROSECONDS('d.low_stock_at')} <> coalesce(s.low_since, 0)`,
    values: [
      streams.map(({ user }) => user),
      streams.map(({ device }) => device),
      streams.map(({ id }) => id),
      streams.map(({ lowSince }) => lowSince),
    ],
  });
  return rows;
}
