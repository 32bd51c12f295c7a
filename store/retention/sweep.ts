import type pg from 'pg';
import { INVITATION_PERIOD_MS } from '../../domain/limits.ts';
import { sweepConsentRequests } from '../consent/consent.ts';
import { sweepErasures } from '../device/erasure.ts';
import { sweepGroupClaims } from '../key-package/group-claims.ts';
import { type DeviceName, sweepKeyPackages } from '../key-package/key-packages.ts';
import { type Row, integer, onlyRow, orNull, text } from '../row.ts';
import { type WelcomeBodyPosition, sweepWelcomeBodies, wakeEvictedWelcomes } from '../welcome/welcomes.ts';

/** Ages at which the sweep deletes rows; milliseconds. */
export interface SweepAges {
  /** Staged rows, and increments of deleted conversations. More than the longest `notAfter` of any operation. */
  readonly stagedMs: number;
  /** Stored answers of operations without an entry. Until then an increment that a reset workflow repeats counts once. */
  readonly operationsMs: number;
  /** Answers of Idempotency-Keys. */
  readonly idempotencyMs: number;
}

/** The time `$1` milliseconds ago, by the clock that wrote the times of the rows: that of the process may differ. */
const OLD = 'now() - make_interval(secs => $1::float8 / 1000)';
const DAY_MS = 86_400_000;
/** Records of commit contention. Backoffs and reservations that follow from them last for a minute at most. */
const CONTENTION_MS = DAY_MS;
/** Long enough to look something up a year later. */
const AUDIT_MS = 400 * DAY_MS;
/** Devices: time since a device was last seen. */
const DEVICES_MS = 400 * DAY_MS;
/** Rows of one table that one run deletes. The next run continues. */
const LIMIT = 10_000;
/** Rows of one table that one run looks at, with those that stay. */
const WALK_LIMIT = 1000;

/**
 * Makes the sweep: it deletes rows that nobody needs any more. Each run is bounded, for tables of any size. The sweep
 * remembers in memory how far it has walked through commit contention, devices and Welcome bodies; a new process begins
 * again at the start.
 * @returns one run, which returns the number of deleted rows by table
 */
export function makeSweep(pool: pg.Pool, ages: SweepAges): () => Promise<Record<string, number>> {
  const contention = makeWalk((after?: Contender) => sweepContention(pool, after));
  const devices = makeWalk((after?: DeviceName) => sweepDevices(pool, after));
  const welcomeBodies = makeWalk((after?: WelcomeBodyPosition) => sweepWelcomeBodies(pool, after));
  return async () => ({
    staged: await sweepStaged(pool, ages.stagedMs),
    // One may be stored in the moment in which its conversation is deleted.
    increments: await deleteOld(
      pool,
      `pending_increment where key = any (array(
         select key from (select key, conversation from pending_increment where at < ${OLD} order by at limit $2) p
         where (select deleted_at from conversation where key = p.conversation limit 1) is not null))`,
      ages.stagedMs,
    ),
    operations: await sweepOperations(pool, ages.operationsMs),
    idempotency: await deleteOld(
      pool,
      `idempotency where scope in (select scope from idempotency where at < ${OLD} limit $2)`,
      ages.idempotencyMs,
    ),
    // What a retry of a claim for many users is answered, as long as its Idempotency-Key is known.
    groupClaims: await sweepGroupClaims(pool, ages.idempotencyMs),
    // A day after they expired, with their claims.
    keyPackages: await sweepKeyPackages(pool),
    races: await contention(),
    // Keys grow with time: it is enough to look at the lowest.
    audit: await deleteOld(
      pool,
      `audit where key = any (array(
         select key from (select key, at from audit order by key limit $2) oldest where at < ${OLD}))`,
      AUDIT_MS,
      WALK_LIMIT,
    ),
    devices: await devices(),
    welcomeBodies: await welcomeBodies(),
    consentRequests: await sweepConsentRequests(pool),
    invitations: await deleteOld(
      pool,
      // Those of one moment go together.
      `invitation where at < ${OLD}
         and at <= coalesce((select at from invitation where at < ${OLD} order by at offset $2 - 1 limit 1), 'infinity')`,
      INVITATION_PERIOD_MS,
    ),
    streamTickets: await sweepStreamTickets(pool),
    erasures: await sweepErasures(pool),
    evictedWelcomes: await wakeEvictedWelcomes(pool),
  });
}

/** Makes one step at each call. After the last step it begins again. */
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

/** @param where table and condition with {@link OLD}; `$2` = number of rows */
async function deleteOld(pool: pg.Pool, where: string, ageMs: number, limit = LIMIT): Promise<number> {
  const { rowCount } = await pool.query(`delete from ${where}`, [ageMs, limit]);
  return rowCount ?? 0;
}

/** Answers of operations. Those of a deleted conversation that is being purged are locked. */
async function sweepOperations(pool: pg.Pool, ageMs: number): Promise<number> {
  const { rowCount } = await pool.query(
    `with old as materialized (
       select conversation, id from operation where at < ${OLD} order by at limit $2 for update skip locked)
     delete from operation o using old where o.conversation = old.conversation and o.id = old.id`,
    [ageMs, LIMIT],
  );
  return rowCount ?? 0;
}

/** Tickets that open nothing any more. */
function sweepStreamTickets(pool: pg.Pool): Promise<number> {
  return deleteOld(
    pool,
    `stream_ticket where hash = any (array(
       select hash from stream_ticket where expires_at < ${OLD} order by expires_at limit $2 for update skip locked))`,
    0,
  );
}

/** Staged bytes without a decision. Deleted under the lock of their conversation, so that no decision loses its bytes. */
async function sweepStaged(pool: pg.Pool, ageMs: number): Promise<number> {
  const orphaned = await pool.query<Row>(`select distinct conversation from staged where at < ${OLD} limit 1000`, [
    ageMs,
  ]);
  let deleted = 0;
  for (const orphan of orphaned.rows) {
    const { rows } = await pool.query<Row>(`select sweep_staged($2, ${OLD}) as count`, [
      ageMs,
      integer(orphan, 'conversation'),
    ]);
    deleted += integer(onlyRow(rows, 'sweep_staged'), 'count');
  }
  return deleted;
}

/** A user who took part in commit contention. */
interface Contender {
  /** Internal key of the conversation. */
  readonly conversation: number;
  readonly user: string;
}

/** Old records of commit contention: one step of a walk through all of them. */
async function sweepContention(
  pool: pg.Pool,
  after: Contender = { conversation: 0, user: '' },
): Promise<{ readonly deleted: number; readonly next?: Contender }> {
  const { rows } = await pool.query<Row>({
    name: 'sweep-contention',
    text: `select conversation, user_id as "user", deleted from sweep_races($2, $3, ${OLD}, $4)`,
    values: [CONTENTION_MS, after.conversation, after.user, WALK_LIMIT],
  });
  const row = onlyRow(rows, 'sweep-contention');
  const deleted = integer(row, 'deleted');
  const conversation = orNull(integer, row, 'conversation');
  return conversation === null ? { deleted } : { deleted, next: { conversation, user: text(row, 'user') } };
}

/** Old devices that have neither key packages, nor Welcomes, nor positions: one step of a walk through all devices. */
async function sweepDevices(
  pool: pg.Pool,
  after: DeviceName = { user: '', device: '' },
): Promise<{ readonly deleted: number; readonly next?: DeviceName }> {
  const { rows } = await pool.query<Row>({
    name: 'sweep-devices',
    text: `select user_id as "user", device_id as device, deleted from sweep_devices($2, $3, ${OLD}, $4)`,
    values: [DEVICES_MS, after.user, after.device, WALK_LIMIT],
  });
  const row = onlyRow(rows, 'sweep-devices');
  const deleted = integer(row, 'deleted');
  const user = orNull(text, row, 'user');
  return user === null ? { deleted } : { deleted, next: { user, device: text(row, 'device') } };
}
