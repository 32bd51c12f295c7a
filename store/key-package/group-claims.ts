import type pg from 'pg';
import {
  LOW_STOCK_KEY_PACKAGES,
  MAX_CLAIMED_KEY_PACKAGES,
  MAX_DEVICES_PER_GROUP_CLAIM,
  MAX_GROUP_CLAIM_BYTES,
  MAX_HELD_KEY_PACKAGES,
} from '../../domain/limits.ts';
import { type Row, flag, integer, text } from '../row.ts';
import { type ClaimedKeyPackage, type DeviceName, parseClaimed } from './key-packages.ts';

/** A request for one key package of each device of many users. */
export interface GroupClaimRequest {
  /** A retry with the same id gets the same answer. */
  readonly operationId: string;
  readonly claimer: DeviceName;
  /** Owners of the packages; each once. */
  readonly users: readonly string[];
  /** Absent = any. Numbers: RFC 9420 §17.1. */
  readonly cipherSuite: number | undefined;
  /** Id of the conversation that the packages are for. It need not exist yet. Absent = any. */
  readonly conversation: string | undefined;
  /** Users per claimer and minute. 0 = no limit. */
  readonly usersPerMinute: number;
  /** Whether the limits for single devices hold, as for a claim for one user. */
  readonly isLimitedByDevice: boolean;
}

/**
 * Why nothing was claimed of a user.
 *
 * - `no-devices`: it is not known, or has no devices but the claiming one
 * - `exhausted`: its devices have no packages left
 * - `consent-required`: it has not consented, and has got a request
 * - `rate-limited`: the claimer took too many packages of one of its devices
 * - `left-over`: the answer is full
 */
export const MISSING_CODES = ['no-devices', 'exhausted', 'consent-required', 'rate-limited', 'left-over'] as const;
export type MissingCode = (typeof MISSING_CODES)[number];

export interface MissingUser {
  readonly user: string;
  readonly code: MissingCode;
  /** Only with `rate-limited`. */
  readonly retryAfterMs?: number;
}

/** Result of a claim for many users. */
export type GroupClaimOutcome =
  | {
      readonly status: 'claimed';
      /** By user, in the order of the request. */
      readonly claimed: ReadonlyMap<string, readonly ClaimedKeyPackage[]>;
      /** Devices without any package left. */
      readonly exhausted: readonly DeviceName[];
      /** Each user of whom nothing was claimed, in the order of the request. */
      readonly missing: readonly MissingUser[];
      /** Devices whose stock became low with this claim. */
      readonly lowStock: readonly DeviceName[];
    }
  /** Nothing was handed out: the claimer has asked for too many users. */
  | { readonly status: 'limited'; readonly retryAfterMs: number };

/**
 * Hands out key packages of many users. One transaction, durable when it returns. What one user does not give does not touch the
 * others.
 */
export async function claimForUsers(pool: pg.Pool, request: GroupClaimRequest): Promise<GroupClaimOutcome> {
  const { rows } = await pool.query<Row>({
    name: 'claim-for-users',
    text: `select user_id as user, device_id as device, ref, key_package as "keyPackage", last_resort as "lastResort", low, code,
        wait_ms as "waitMs"
      from claim_for_users($1, $2, $3, $4, claimable_suite($2, $6, $5), $6, $7, $8, $9, $10, $11, $12)`,
    values: [
      request.operationId,
      request.claimer.user,
      request.claimer.device,
      request.users,
      request.cipherSuite ?? null,
      request.conversation ?? '',
      request.usersPerMinute,
      request.isLimitedByDevice ? MAX_HELD_KEY_PACKAGES : 0,
      MAX_CLAIMED_KEY_PACKAGES,
      LOW_STOCK_KEY_PACKAGES,
      MAX_DEVICES_PER_GROUP_CLAIM,
      MAX_GROUP_CLAIM_BYTES,
    ],
  });
  const [first] = rows;
  if (first?.user === '') return { status: 'limited', retryAfterMs: integer(first, 'waitMs') };
  return { status: 'claimed', ...sort(request.users, rows) };
}

/** @param rows a package, a device without one, or a user with a code each */
function sort(
  users: readonly string[],
  rows: readonly Row[],
): Omit<GroupClaimOutcome & { status: 'claimed' }, 'status'> {
  const packages = new Map<string, ClaimedKeyPackage[]>();
  const refused = new Map<string, MissingUser>();
  const without = new Map<string, string[]>();
  const lowStock: DeviceName[] = [];
  for (const row of rows) {
    const user = text(row, 'user');
    if (row.code !== null) refused.set(user, parseMissing(user, row));
    else if (row.ref === null) addTo(without, user, text(row, 'device'));
    else addTo(packages, user, parseClaimed(row));
    if (flag(row, 'low')) lowStock.push({ user, device: text(row, 'device') });
  }
  // In the order of the request, then of devices: a retry reads the rows in another order.
  const claimed = new Map<string, ClaimedKeyPackage[]>();
  const missing: MissingUser[] = [];
  for (const user of users) {
    const own = packages.get(user);
    if (own !== undefined)
      claimed.set(
        user,
        own.sort((one, other) => compare(one.device, other.device)),
      );
    else missing.push(refused.get(user) ?? { user, code: without.has(user) ? 'exhausted' : 'no-devices' });
  }
  const exhausted = users.flatMap((user) =>
    (without.get(user) ?? []).sort(compare).map((device): DeviceName => ({ user, device })),
  );
  return { claimed, exhausted, missing, lowStock };
}

function addTo<T>(lists: Map<string, T[]>, user: string, one: T): void {
  const list = lists.get(user);
  if (list === undefined) lists.set(user, [one]);
  else list.push(one);
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

function parseMissing(user: string, row: Row): MissingUser {
  const code = MISSING_CODES.find((one) => one === row.code);
  if (code === undefined) throw new Error(`unexpected code ${text(row, 'code')}`);
  return code === 'rate-limited' ? { user, code, retryAfterMs: integer(row, 'waitMs') } : { user, code };
}

/** Requests that one sweep deletes. */
const SWEEP_LIMIT = 10_000;

/** Deletes old requests; a retry of one would be a new claim. @returns number of deleted requests */
export async function sweepGroupClaims(pool: pg.Pool, ageMs: number): Promise<number> {
  const { rowCount } = await pool.query(
    // skip locked: their claimer is being erased.
    `delete from group_claim where operation = any (array(
       select operation from group_claim where at < now() - make_interval(secs => $1::float8 / 1000)
       order by at limit $2 for update skip locked))`,
    [ageMs, SWEEP_LIMIT],
  );
  return rowCount ?? 0;
}
