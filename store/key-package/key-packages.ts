import type pg from 'pg';
import {
  LOW_STOCK_KEY_PACKAGES,
  MAX_CLAIMED_KEY_PACKAGES,
  MAX_HELD_KEY_PACKAGES,
  MAX_KEY_PACKAGES_PER_DEVICE,
} from '../../domain/limits.ts';
import { type Row, bytes, flag, integer, integers, object, onlyRow, orNull, text } from '../row.ts';

/** A device of a user: the claims `sub` and `device` of a token. */
export interface DeviceName {
  readonly user: string;
  readonly device: string;
}

/** A key package that passed all checks. */
export interface NewKeyPackage {
  /** KeyPackageRef (RFC 9420 §5.2). */
  readonly ref: Buffer;
  readonly bytes: Buffer;
  readonly cipherSuite: number;
  readonly lastResort: boolean;
  readonly notAfter: Date;
  /** SHA-256 of each of its public keys. */
  readonly keys: { readonly init: Buffer; readonly encryption: Buffer; readonly signature: Buffer };
  /** SHA-256 of its leaf node. */
  readonly leafNode: Buffer;
}

/** Result of an upload. */
export type Upload =
  | {
      readonly status: 'stored';
      /** Number of new packages. */
      readonly stored: number;
      readonly duplicates: number;
      /** Packages in store after the upload, without the last resort. */
      readonly available: number;
    }
  /** Nothing was stored: another device uploaded these packages. Indexes from 0. */
  | { readonly status: 'foreign'; readonly indexes: readonly number[] }
  /** Nothing was stored: a key of these packages is another user's, or has another purpose. Indexes from 0. */
  | { readonly status: 'shared'; readonly indexes: readonly number[] }
  /** Nothing was stored: the device would have more than `MAX_KEY_PACKAGES_PER_DEVICE`. */
  | { readonly status: 'full' };

/**
 * Stores key packages of one device. A ref that the device stored before is a duplicate, also when that package was used
 * or replaced since.
 * @param replace withdraws all other packages of the device that no commit has used: single-use, last resort, and claimed
 */
export async function uploadKeyPackages(
  pool: pg.Pool,
  { user, device }: DeviceName,
  packages: readonly NewKeyPackage[],
  replace: boolean,
): Promise<Upload> {
  const { rows } = await pool.query<Row>({
    name: 'upload-key-packages',
    text: 'select store_key_packages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) as upload',
    values: [
      user,
      device,
      packages.map(({ ref }) => ref),
      packages.map(({ bytes }) => bytes),
      packages.map(({ cipherSuite }) => cipherSuite),
      packages.map(({ notAfter }) => notAfter),
      packages.map(({ lastResort }) => lastResort),
      replace,
      MAX_KEY_PACKAGES_PER_DEVICE,
      packages.map(({ keys }) => keys.init),
      packages.map(({ keys }) => keys.encryption),
      packages.map(({ keys }) => keys.signature),
      packages.map(({ leafNode }) => leafNode),
    ],
  });
  const upload = object(onlyRow(rows, 'upload-key-packages'), 'upload');
  // SQL counts from 1.
  if ('foreign' in upload) return { status: 'foreign', indexes: integers(upload, 'foreign').map((n) => n - 1) };
  if ('shared' in upload) return { status: 'shared', indexes: integers(upload, 'shared').map((n) => n - 1) };
  if ('full' in upload) return { status: 'full' };
  return {
    status: 'stored',
    stored: integer(upload, 'stored'),
    duplicates: integer(upload, 'duplicates'),
    available: integer(upload, 'available'),
  };
}

/** The key packages that a device has in store. */
export interface Stock {
  /** Number of single-use packages that a claim may take. */
  readonly available: number;
  /** There is a last resort that has not expired. */
  readonly lastResort: boolean;
}

/** @param row {available, lastResort} */
export function parseStock(row: Row): Stock {
  return { available: integer(row, 'available'), lastResort: flag(row, 'lastResort') };
}

/** Reads the stock of a device. */
export async function readStock(pool: pg.Pool, { user, device }: DeviceName): Promise<Stock> {
  const { rows } = await pool.query<Row>({
    name: 'read-stock',
    text: `select count_available($1, $2, 2147483647) as available, exists (
        select from key_package where user_id = $1 and device_id = $2 and last_resort and replaced_at is null
          and not_after > clock_timestamp()) as "lastResort"`,
    values: [user, device],
  });
  return parseStock(onlyRow(rows, 'read-stock'));
}

/** A request for one key package of each device of a user. */
export interface ClaimRequest {
  /** A retry with the same id gets the same packages. */
  readonly operationId: string;
  readonly claimer: DeviceName;
  /** Owner of the packages. */
  readonly user: string;
  /** Absent = all known devices of the owner. */
  readonly devices: readonly string[] | undefined;
  /** Absent = any. Numbers: RFC 9420 §17.1. */
  readonly cipherSuite: number | undefined;
  /** Id of the conversation that the packages are for. It need not exist yet. Absent = any. */
  readonly conversation: string | undefined;
  /** Packages per claimer and minute. 0 = no limit; then the limits for one device are off too. */
  readonly perMinute: number;
}

export interface ClaimedKeyPackage {
  readonly device: string;
  readonly keyPackage: Buffer;
  readonly ref: Buffer;
  readonly lastResort: boolean;
}

/** Result of a claim. */
export type ClaimOutcome =
  | {
      readonly status: 'claimed';
      readonly keyPackages: readonly ClaimedKeyPackage[];
      /** Devices without any package left. */
      readonly exhausted: readonly string[];
      /** Devices whose stock became low with this claim: below `LOW_STOCK_KEY_PACKAGES`. */
      readonly lowStock: readonly string[];
    }
  /** Nothing was handed out: the claimer must wait. `device`: it took too many of this one. Absent: too many in all. */
  | { readonly status: 'limited'; readonly retryAfterMs: number; readonly device: string | undefined }
  /** Nothing was handed out: the owner has not consented, and has got a request. */
  | { readonly status: 'consent-required' };

/** Time of a row that stands for a missing consent. */
const CONSENT_REQUIRED = -1;

/** Hands out key packages. They never come back. One transaction, durable when it returns. */
export async function claimKeyPackages(pool: pg.Pool, request: ClaimRequest): Promise<ClaimOutcome> {
  const { rows } = await pool.query<Row>({
    name: 'claim-key-packages',
    text: `select device, ref, key_package as "keyPackage", last_resort as "lastResort", low, wait_ms as "waitMs"
      from claim_key_packages($1, $2, $3, $4, $5, claimable_suite($2, $7, $6), $7, $8, $9, $10, $11)`,
    values: [
      request.operationId,
      request.claimer.user,
      request.claimer.device,
      request.user,
      request.devices ?? null,
      request.cipherSuite ?? null,
      request.conversation ?? '',
      request.perMinute,
      MAX_HELD_KEY_PACKAGES,
      MAX_CLAIMED_KEY_PACKAGES,
      LOW_STOCK_KEY_PACKAGES,
    ],
  });
  // A claim over a limit has one row, with the time to wait. Otherwise: a row for each package, and for each device
  // without one.
  const [first] = rows;
  if (first !== undefined && first.waitMs !== null) {
    if (integer(first, 'waitMs') === CONSENT_REQUIRED) return { status: 'consent-required' };
    const device = text(first, 'device');
    return { status: 'limited', retryAfterMs: integer(first, 'waitMs'), device: device === '' ? undefined : device };
  }
  return {
    status: 'claimed',
    keyPackages: rows.filter((row) => row.ref !== null).map(parseClaimed),
    exhausted: rows.filter((row) => row.ref === null).map((row) => text(row, 'device')),
    lowStock: rows.filter((row) => orNull(flag, row, 'low')).map((row) => text(row, 'device')),
  };
}

/** @param row {device, keyPackage, ref, lastResort} */
export function parseClaimed(row: Row): ClaimedKeyPackage {
  return {
    device: text(row, 'device'),
    keyPackage: bytes(row, 'keyPackage'),
    ref: bytes(row, 'ref'),
    lastResort: flag(row, 'lastResort'),
  };
}

/** How far back a sweep looks for expired packages. Sweeps run every minute; an hour covers missed ones. */
const EXPIRED_S = 3600;
/** Recently expired packages of one sweep. */
const EXPIRED_LIMIT = 1000;

/** Records which devices have a low stock because packages expired. Claims and uploads do so by themselves. */
async function recordLowStocks(pool: pg.Pool): Promise<void> {
  await pool.query({
    // Without a name, so that it is planned for the tables as they are: a plan of tiny ones would read all devices for each.
    // skip locked: a device that a claim or an upload holds is left to the next sweep.
    text: `with low as materialized (
        select d.user_id, d.device_id
        from (select distinct k.user_id, k.device_id from (
            select user_id, device_id from key_package
            where not_after <= now() and not_after > now() - make_interval(secs => $1)
              and claimed_at is null and replaced_at is null and not last_resort
            order by not_after desc limit $2) k) n
        cross join lateral (
          select user_id, device_id from device
          where user_id = n.user_id and device_id = n.device_id and low_stock_at is null
            and count_available(user_id, device_id, $3) < $3
          limit 1 for no key update skip locked) d)
      update device set low_stock_at = clock_timestamp() from low
      where device.user_id = low.user_id and device.device_id = low.device_id`,
    values: [EXPIRED_S, EXPIRED_LIMIT, LOW_STOCK_KEY_PACKAGES],
  });
}

/** Key packages that one sweep deletes. */
const SWEEP_LIMIT = 10_000;

/**
 * Deletes key packages, and their claims, a day after they expired. Until then a Welcome for one gets `key-package-stale`.
 * @returns number of deleted packages; as many as `SWEEP_LIMIT`: there may be more
 */
export async function sweepKeyPackages(pool: pg.Pool): Promise<number> {
  await recordLowStocks(pool);
  await pool.query(
    `delete from public_key where hash = any (array(
       select hash from public_key where not_after < now() - interval '1 day' order by not_after limit $1))`,
    [SWEEP_LIMIT],
  );
  const { rowCount } = await pool.query(
    `delete from key_package where ref = any (array(
       select ref from key_package where not_after < now() - interval '1 day' order by not_after limit $1))`,
    [SWEEP_LIMIT],
  );
  return rowCount ?? 0;
}
