import type pg from 'pg';
import { type DeviceName, sweepKeyPackages } from '../key-package/key-packages.ts';
import { type WelcomeBodyPosition, sweepWelcomeBodies } from '../welcome/welcomes.ts';

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
/** Rows of each kind that one run looks at, young ones among them. */
const WALK_LIMIT = 1000;

/**
 * Deletes what nobody will ask for again; each run is bounded, however large the tables are. The sweep remembers how far
 * it has walked through races, devices and Welcomes; in a new process it begins anew.
 * @returns one run of it, which tells the rows that it deleted, by table
 */
export function makeSweep(pool: pg.Pool, ages: SweepAges): () => Promise<Record<string, number>> {
  const races = makeWalk((after?: RaceName) => sweepRaces(pool, after));
  const devices = makeWalk((after?: DeviceName) => sweepDevices(pool, after));
  const welcomeBodies = makeWalk((after?: WelcomeBodyPosition) => sweepWelcomeBodies(pool, after));
  return async () => ({
    staged: await sweepStaged(pool, ages.stagedMs),
    operations: await deleteOld(
      pool,
      'operation where (conversation, id) in (select conversation, id from operation where at < $1 limit $2)',
      ages.operationsMs,
    ),
    idempotency: await deleteOld(
      pool,
      'idempotency where scope in (select scope from idempotency where at < $1 limit $2)',
      ages.idempotencyMs,
    ),
    // A day after they expired, and with them who claimed them.
    keyPackages: await sweepKeyPackages(pool),
    races: await races(),
    // Keys follow the time: only the oldest are looked at.
    audit: await deleteOld(
      pool,
      `audit where key = any (array(
         select key from (select key, at from audit order by key limit $2) oldest where at < $1))`,
      AUDIT_MS,
      WALK_LIMIT,
    ),
    devices: await devices(),
    welcomeBodies: await welcomeBodies(),
  });
}

/** One step at each call, from the start again after the end. */
function makeWalk<P>(
  step: (after?: P) => Promise<{ readonly deleted: number; readonly next?: P }>,
): () => Promise<number> {
  let after: P | undefined;
  return async () => {
    const { deleted, next } = await step(after);
    after = next;
    return deleted;
  };
}

/** @param where table and condition; `$1` = the time before which rows are old, `$2` = how many */
async function deleteOld(pool: pg.Pool, where: string, ageMs: number, limit = LIMIT): Promise<number> {
  const { rowCount } = await pool.query(`delete from ${where}`, [before(ageMs), limit]);
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

/** Who lost a race for an epoch, and where. */
interface RaceName {
  /** Key of the conversation. */
  readonly conversation: number;
  readonly user: string;
}

/** Lost races that nobody counts any more: one step of a walk through all of them. */
async function sweepRaces(
  pool: pg.Pool,
  after: RaceName = { conversation: 0, user: '' },
): Promise<{ readonly deleted: number; readonly next?: RaceName }> {
  const { rows } = await pool.query<{ conversation: number | null; user: string | null; deleted: number }>({
    name: 'sweep-races',
    text: 'select conversation, user_id as "user", deleted from sweep_races($1, $2, $3, $4)',
    values: [after.conversation, after.user, before(RACES_MS), WALK_LIMIT],
  });
  const { conversation = null, user = null, deleted = 0 } = rows[0] ?? {};
  return { deleted, ...(conversation === null || user === null ? {} : { next: { conversation, user } }) };
}

/** Devices that were not seen for long and have nothing: one step of a walk through all devices. */
async function sweepDevices(
  pool: pg.Pool,
  after: DeviceName = { user: '', device: '' },
): Promise<{ readonly deleted: number; readonly next?: DeviceName }> {
  const { rows } = await pool.query<{ user: string | null; device: string | null; deleted: number }>({
    name: 'sweep-devices',
    text: 'select user_id as "user", device_id as device, deleted from sweep_devices($1, $2, $3, $4)',
    values: [after.user, after.device, before(DEVICES_MS), WALK_LIMIT],
  });
  const { user = null, device = null, deleted = 0 } = rows[0] ?? {};
  return { deleted, ...(user === null || device === null ? {} : { next: { user, device } }) };
}

function before(ageMs: number): Date {
  return new Date(Date.now() - ageMs);
}
