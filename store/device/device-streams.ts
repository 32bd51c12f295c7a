import type pg from 'pg';
import { LOW_STOCK_KEY_PACKAGES } from '../../domain/limits.ts';
import type { DeviceName } from '../key-package/key-packages.ts';
import { type Row, flag, integer, onlyRow, orNull, text } from '../row.ts';
import { existsByKey } from '../sql-fragments.ts';
import { type Welcome, parseWelcome } from '../welcome/welcomes.ts';

/** What account streams read about their device: its Welcomes, its newest stream, and its stock of key packages. */

/** A Welcome and the device that it is for. */
export interface AddressedWelcome extends Welcome {
  readonly user: string;
  /** '' = all devices of the user. */
  readonly device: string;
}

/** Welcomes of these users that belong to entries of one conversation after `after`. */
export async function readWelcomesTo(
  pool: pg.Pool,
  conversation: string,
  users: readonly string[],
  after: number,
): Promise<AddressedWelcome[]> {
  const { rows } = await pool.query<Row>({
    name: 'read-welcomes-to',
    text: `select w.id, c.id as conversation, b.welcome, w.seq, w.epoch, w.user_id as user, w.device_id as device
      from (select id, key from conversation where id = $1 and deleted_at is null limit 1) c
      cross join unnest($2::text[]) u (user_id)
      cross join lateral (
        select * from (
          select * from welcome where conversation = c.key and user_id = u.user_id and seq > $3 order by device_id offset 0) x
        where expires_at > clock_timestamp()) w
      cross join lateral (
        select welcome from welcome_body where conversation = w.conversation and seq = w.seq limit 1) b`,
    values: [conversation, users, after],
  });
  return rows.map((row) => ({ ...parseWelcome(row), user: text(row, 'user'), device: text(row, 'device') }));
}

const MICROSECONDS = (time: string): string => `(extract(epoch from ${time}) * 1000000)::bigint`;

/** The stock of a device that has few key packages left. */
export interface LowStock {
  /** When the stock became low; microseconds since 1970, by the clock of Postgres. */
  readonly lowSince: number;
  /** Key packages in store, without the last resort. */
  readonly available: number;
}

/** Facts about a device when it opens its account stream. */
export interface OpenedStream {
  /** When the stream was opened; microseconds since 1970, by the clock of Postgres. */
  readonly openedAt: number;
  /** When the stock became low. null = it is not low, or the device never uploaded any. */
  readonly lowSince: number | null;
  /** Key packages in store when the stock is low, otherwise 0. */
  readonly available: number;
}

/**
 * Records a device and the account stream that it opens, which replaces the one before. Also checks the stock: key
 * packages may have expired since the last look.
 * @param id UUID of the stream
 */
export async function openStream(pool: pg.Pool, { user, device }: DeviceName, id: string): Promise<OpenedStream> {
  const { rows } = await pool.query<Row>({
    name: 'open-stream',
    text: `with opened as (
        insert into device (user_id, device_id, stream_id, stream_at, low_stock_at)
        values ($1, $2, $3, clock_timestamp(), case
          when ${existsByKey('key_package where user_id = $1 and device_id = $2')} and count_available($1, $2, $4) < $4
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
  const row = onlyRow(rows, 'open-stream');
  return {
    openedAt: integer(row, 'openedAt'),
    lowSince: orNull(integer, row, 'lowSince'),
    available: integer(row, 'available'),
  };
}

/** An open account stream, and the low stock that it delivered. */
export interface StreamState extends DeviceName {
  /** UUID of the stream. */
  readonly id: string;
  /** `lowSince` of its last `low-stock` event; null = none yet. */
  readonly lowSince: number | null;
}

/** News for one account stream. `ended`: the device has a newer stream, or was forgotten. Otherwise its stock is low. */
export type DeviceNews =
  { readonly id: string; readonly ended: true } | ({ readonly id: string; readonly ended: false } & LowStock);

/** News for open account streams; streams without news are left out. */
export async function readDeviceNews(pool: pg.Pool, streams: readonly StreamState[]): Promise<DeviceNews[]> {
  const { rows } = await pool.query<Row>({
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
  return rows.map(parseDeviceNews);
}

function parseDeviceNews(row: Row): DeviceNews {
  const id = text(row, 'id');
  if (flag(row, 'ended')) return { id, ended: true };
  return { id, ended: false, lowSince: integer(row, 'lowSince'), available: integer(row, 'available') };
}
