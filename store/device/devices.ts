import type pg from 'pg';
import type { DeviceName, Stock } from '../key-package/key-packages.ts';

export interface DeviceRow extends Stock {
  readonly device: string;
  readonly createdAt: Date;
  readonly seenAt: Date;
}

/** Devices of one answer; a user has a handful. */
const MAX_LISTED = 1000;

/** Notes that devices were seen now; in one order, because claims and uploads lock the same rows. */
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

/** Devices of a user by id, with what each has in store. */
export async function listDevices(pool: pg.Pool, user: string): Promise<DeviceRow[]> {
  const { rows } = await pool.query<DeviceRow>({
    name: 'list-devices',
    text: `select d.device_id as device, d.created_at as "createdAt", d.seen_at as "seenAt",
        count_available($1, d.device_id, 2147483647) as available, exists (
          select from key_package where user_id = $1 and device_id = d.device_id and last_resort and replaced_at is null
            and not_after > clock_timestamp()) as "lastResort"
      from device d where d.user_id = $1 order by d.device_id limit $2`,
    values: [user, MAX_LISTED],
  });
  return rows;
}

/** Forgets a device with its key packages, positions and Welcomes; false when there is none. */
export async function forgetDevice(pool: pg.Pool, { user, device }: DeviceName): Promise<boolean> {
  const { rows } = await pool.query<{ forgotten: boolean }>({
    name: 'forget-device',
    text: 'select forget_device($1, $2) as forgotten',
    values: [user, device],
  });
  return rows[0]?.forgotten ?? false;
}
