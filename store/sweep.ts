import type pg from 'pg';
import { sweepKeyPackages } from './key-packages.ts';

/** Ages after which the sweep forgets things; milliseconds. */
export interface SweepAges {
  /** Staged rows; above the longest `notAfter` of any operation. */
  readonly stagedMs: number;
  /** Stored answers of operations without an entry; increments of old histories may be applied again until then. */
  readonly operationsMs: number;
  readonly idempotencyMs: number;
}

const DAY_MS = 86_400_000;
/** Lost commit races; what they may give lasts for a minute. */
const RACES_MS = DAY_MS;
/** Long enough to look something up a year later. */
const AUDIT_MS = 400 * DAY_MS;
/** Since a device was last seen. */
const DEVICES_MS = 400 * DAY_MS;
/** Rows of a table that one run deletes at most; the next one goes on. */
const LIMIT = 10_000;
/** Rows that one run looks at in tables that are walked through from end to end, over many runs. */
const WALK_LIMIT = 1000;

/** Deletes what nobody will ask for again. @returns rows deleted, by table */
export type Sweep = () => Promise<Record<string, number>>;

/**
 * A sweep whose runs are bounded, however large the tables are. It remembers how far it has walked through devices and
 * Welcomes; a process that starts again begins anew.
 */
export function makeSweep(pool: pg.Pool, ages: SweepAges): Sweep {
  const walkDevices = makeDeviceWalk(pool);
  const walkWelcomeBodies = makeWelcomeBodyWalk(pool);
  return async () => ({
    staged: await sweepStaged(pool, ages.stagedMs),
    operation: await deleteFrom(
      pool,
      `operation where (conversation, id) in (select conversation, id from operation where at < $1 limit $2)`,
      ages.operationsMs,
    ),
    idempotency: await deleteFrom(
      pool,
      `idempotency where scope in (select scope from idempotency where at < $1 limit $2)`,
      ages.idempotencyMs,
    ),
    // Their claims go with them, a day after they expired.
    key_package: await sweepKeyPackages(pool),
    // Holds the races of one day. The age stands twice: a race that is run meanwhile stays.
    race: await deleteFrom(
      pool,
      `race where lost_at < $1 and ctid = any (array(select ctid from race where lost_at < $1 limit $2))`,
      RACES_MS,
    ),
    // Keys follow the time: only the oldest are looked at.
    audit: await deleteFrom(
      pool,
      `audit where key = any (array(
         select key from (select key, at from audit order by key limit $2) oldest where at < $1))`,
      AUDIT_MS,
    ),
    device: await walkDevices(),
    welcome_body: await walkWelcomeBodies(),
  });
}

/** @param where table and condition; `$1` = the time before which rows are old, `$2` = how many */
async function deleteFrom(pool: pg.Pool, where: string, ageMs: number): Promise<number> {
  const { rowCount } = await pool.query(`delete from ${where}`, [before(ageMs), LIMIT]);
  return rowCount ?? 0;
}

/** Bytes whose operations will never come; under the conversation's lock each, so that none is taken from a decision. */
async function sweepStaged(pool: pg.Pool, ageMs: number): Promise<number> {
  const orphaned = await pool.query<{ conversation: number }>(
    'select distinct conversation from staged where at < $1 limit 1000',
    [before(ageMs)],
  );
  let deleted = 0;
  for (const { conversation } of orphaned.rows) {
    const { rows } = await pool.query<{ count: number }>('select sweep_staged($1, $2) as count', [
      conversation,
      before(ageMs),
    ]);
    deleted += rows[0]?.count ?? 0;
  }
  return deleted;
}

/** Devices that were not seen for long and have nothing: no key package to claim, no Welcome waiting, no position. */
function makeDeviceWalk(pool: pg.Pool): Sweep[keyof never] {
  throw new Error(String(pool));
}

function before(ageMs: number): Date {
  return new Date(Date.now() - ageMs);
}
