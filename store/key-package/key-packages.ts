import type pg from 'pg';
import {
  LOW_STOCK_KEY_PACKAGES,
  MAX_CLAIMED_KEY_PACKAGES,
  MAX_HELD_KEY_PACKAGES,
  MAX_KEY_PACKAGES_PER_DEVICE,
} from '../../domain/limits.ts';

/** A device of a user, as tokens name it. */
export interface DeviceName {
  readonly user: string;
  readonly device: string;
}

/** A key package whose content was checked. */
export interface NewKeyPackage {
  /** KeyPackageRef (RFC 9420 §5.2). */
  readonly ref: Buffer;
  readonly bytes: Buffer;
  readonly cipherSuite: number;
  readonly lastResort: boolean;
  readonly notAfter: Date;
}

/** What became of an upload. */
export type Upload =
  | {
      readonly status: 'stored';
      /** Packages that were not there before. */
      readonly stored: number;
      readonly duplicates: number;
      /** Packages in store after it, the last resort not among them. */
      readonly available: number;
    }
  /** Nothing was stored: these were uploaded by another device. Indexes from 0. */
  | { readonly status: 'foreign'; readonly indexes: readonly number[] }
  /** Nothing was stored: there is no room for so many. */
  | { readonly status: 'full' };

/**
 * Stores key packages of one device; a ref that it stored before is a duplicate, whatever became of that package.
 * @param replace withdraws everything else that no commit has used: pool, last resort, and what was handed out
 */
export async function uploadKeyPackages(
  pool: pg.Pool,
  { user, device }: DeviceName,
  packages: readonly NewKeyPackage[],
  replace: boolean,
): Promise<Upload> {
  type Row = { stored: number; duplicates: number; available: number; foreign?: number[]; full?: boolean };
  const { rows } = await pool.query<{ upload: Row }>({
    name: 'upload-key-packages',
    text: 'select upload_key_packages($1, $2, $3, $4, $5, $6, $7, $8, $9) as upload',
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
    ],
  });
  const upload = rows[0]?.upload;
  if (upload === undefined) throw new TypeError('upload_key_packages() returned no row');
  if (upload.foreign !== undefined) return { status: 'foreign', indexes: upload.foreign.map((n) => n - 1) };
  if (upload.full === true) return { status: 'full' };
  return { status: 'stored', ...upload };
}

/** What a device has in store. */
export interface Stock {
  /** Single-use packages that a claim may take. */
  readonly available: number;
  /** Whether there is a last resort. */
  readonly lastResort: boolean;
}

/** Counts what claims may take of a device. */
export async function readStock(pool: pg.Pool, { user, device }: DeviceName): Promise<Stock> {
  const { rows } = await pool.query<Stock>({
    name: 'read-stock',
    text: `select count_available($1, $2, 2147483647) as available, exists (
        select from key_package where user_id = $1 and device_id = $2 and last_resort and replaced_at is null
          and not_after > clock_timestamp()) as "lastResort"`,
    values: [user, device],
  });
  const [stock] = rows;
  if (stock === undefined) throw new TypeError('the stock is a row');
  return stock;
}

/** A request for one key package of each device of a user. */
export interface ClaimRequest {
  /** Asked again with it, the same packages are the answer. */
  readonly operationId: string;
  readonly claimer: DeviceName;
  /** Whose packages. */
  readonly user: string;
  /** Absent = all devices that are known. */
  readonly devices: readonly string[] | undefined;
  /** Absent = any. RFC 9420 §17.1. */
  readonly cipherSuite: number | undefined;
  /** Id of the conversation that they are for, which need not exist yet; absent = any. */
  readonly conversation: string | undefined;
  /** Packages per claimer and minute; 0 = no limit, and none on what it takes of one device. */
  readonly perMinute: number;
}

export interface ClaimedKeyPackage {
  readonly device: string;
  readonly keyPackage: Buffer;
  readonly ref: Buffer;
  readonly lastResort: boolean;
}

/** What became of a claim. */
export type ClaimOutcome =
  | {
      readonly status: 'claimed';
      readonly keyPackages: readonly ClaimedKeyPackage[];
      /** Devices that have none left. */
      readonly exhausted: readonly string[];
      /** Devices that this claim took below the mark. */
      readonly lowStock: readonly string[];
    }
  /** The claimer has to wait; nothing was handed out. `device` is the one of which it took too much; absent = of all. */
  | { readonly status: 'limited'; readonly retryAfterMs: number; readonly device: string | undefined };

/** Hands out key packages, for good: one transaction, durable when it returns. */
export async function claimKeyPackages(pool: pg.Pool, request: ClaimRequest): Promise<ClaimOutcome> {
  type Row = {
    device: string;
    ref: Buffer | null;
    keyPackage: Buffer;
    lastResort: boolean;
    low: boolean;
    waitMs: number | null;
  };
  const { rows } = await pool.query<Row>({
    name: 'claim-key-packages',
    text: `select device, ref, key_package as "keyPackage", last_resort as "lastResort", low, wait_ms as "waitMs"
      from claim_key_packages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
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
  const [first] = rows;
  if (first !== undefined && first.waitMs !== null) {
    return { status: 'limited', retryAfterMs: first.waitMs, device: first.device === '' ? undefined : first.device };
  }
  return {
    status: 'claimed',
    keyPackages: rows.flatMap(({ device, ref, keyPackage, lastResort }) =>
      ref === null ? [] : [{ device, keyPackage, ref, lastResort }],
    ),
    exhausted: rows.filter(({ ref }) => ref === null).map(({ device }) => device),
    lowStock: rows.filter(({ low }) => low).map(({ device }) => device),
  };
}

/** Sweeps come every minute; one that was missed is made good. */
const EXPIRED_S = 3600;
/** Packages that expired of late which one sweep looks at. */
const EXPIRED_LIMIT = 1000;

/** Notes which devices have few packages left because others expired; a claim notes it by itself. */
async function noteLowStocks(pool: pg.Pool): Promise<void> {
  await pool.query({
    name: 'note-low-stocks',
    // Devices that a claim or an upload holds are looked at again by the next sweep.
    text: `update device set low_stock_at = clock_timestamp() where ctid = any (array(
        select d.ctid
        from (select distinct k.user_id, k.device_id from (
            select user_id, device_id from key_package
            where not_after <= now() and not_after > now() - make_interval(secs => $1)
              and claimed_at is null and replaced_at is null and not last_resort
            order by not_after desc limit $2) k) n
        cross join lateral (
          select ctid from device
          where user_id = n.user_id and device_id = n.device_id and low_stock_at is null
            and count_available(user_id, device_id, $3) < $3
          limit 1 for no key update skip locked) d))`,
    values: [EXPIRED_S, EXPIRED_LIMIT, LOW_STOCK_KEY_PACKAGES],
  });
}

/** Key packages that one sweep deletes at most. */
const SWEEP_LIMIT = 10_000;

/**
 * Deletes key packages a day after they expired, and with them the claims: until then a Welcome for one is told why.
 * @returns packages deleted; when it is `SWEEP_LIMIT`, there may be more
 */
export async function sweepKeyPackages(pool: pg.Pool): Promise<number> {
  await noteLowStocks(pool);
  const { rowCount } = await pool.query(
    `delete from key_package where ref = any (array(
       select ref from key_package where not_after < now() - interval '1 day' order by not_after limit $1))`,
    [SWEEP_LIMIT],
  );
  return rowCount ?? 0;
}
