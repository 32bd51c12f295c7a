import type pg from 'pg';
import { PUSH_KINDS, type PushKind } from '../../domain/push.ts';
import { type DeviceName, type Stock, parseStock } from '../key-package/key-packages.ts';
import { type Row, flag, oneOf, onlyRow, orNull, text, time } from '../row.ts';

/** A device on record, and its stock of key packages. */
export interface Device extends Stock {
  readonly device: string;
  readonly createdAt: Date;
  readonly seenAt: Date;
  /** Kind of its push target; null = it has none. */
  readonly push: PushKind | null;
}

/** Devices of one answer. A user has a handful. */
const MAX_LISTED = 1000;

/** Records that devices were seen now. Locks the rows in the same order as claims and uploads do: no deadlock. */
export async function touchDevices(pool: pg.Pool, devices: readonly DeviceName[]): Promise<void> {
  await pool.query({
    name: 'touch-devices',
    text: `insert into device (user_id, device_id)
      select user_id, device_id from unnest($1::text[], $2::text[]) d (user_id, device_id)
      order by user_id collate "C", device_id collate "C"
      on conflict (user_id, device_id) do update set seen_at = clock_timestamp()`,
    values: [devices.map(({ user }) => user), devices.map(({ device }) => device)],
  });
}

/**
 * Records that a device was seen now, which its client named itself.
 * @param most other devices that the user may have; requests at the same moment may exceed it by their number
 * @returns false if the user has as many, and the device is none of them
 */
export async function admitDevice(pool: pg.Pool, { user, device }: DeviceName, most: number): Promise<boolean> {
  const { rows } = await pool.query<Row>({
    name: 'admit-device',
    text: `insert into device (user_id, device_id)
      select $1, $2
      where exists (select from device where user_id = $1 and device_id = $2)
        or (select count(*) from (select from device where user_id = $1 limit $3) d) < $3
      on conflict (user_id, device_id) do update set seen_at = clock_timestamp()
      returning true as admitted`,
    values: [user, device, most],
  });
  return rows.length > 0;
}

/** Devices of a user, by id. */
export async function listDevices(pool: pg.Pool, user: string): Promise<Device[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-devices',
    text: `select d.device_id as device, d.created_at as "createdAt", d.seen_at as "seenAt",
        count_available($1, d.device_id, 2147483647) as available, exists (
          select from key_package where user_id = $1 and device_id = d.device_id and last_resort and replaced_at is null
            and not_after > clock_timestamp()) as "lastResort",
        (select kind from push_target where user_id = $1 and device_id = d.device_id limit 1) as push
      from device d where d.user_id = $1 order by d.device_id limit $2`,
    values: [user, MAX_LISTED],
  });
  return rows.map((row) => ({
    device: text(row, 'device'),
    createdAt: time(row, 'createdAt'),
    seenAt: time(row, 'seenAt'),
    push: orNull((one, field) => oneOf(one, field, PUSH_KINDS), row, 'push'),
    ...parseStock(row),
  }));
}

/** Forgets a device, with its key packages, positions and Welcomes. @returns false when there is no such device */
export async function forgetDevice(pool: pg.Pool, { user, device }: DeviceName): Promise<boolean> {
  const { rows } = await pool.query<Row>({
    name: 'forget-device',
    text: 'select forget_device($1, $2) as forgotten',
    values: [user, device],
  });
  return flag(onlyRow(rows, 'forget-device'), 'forgotten');
}
