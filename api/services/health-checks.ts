import { getHeapStatistics } from 'node:v8';
import type pg from 'pg';
import { PoolerError } from '../../store/pooler-error.ts';

export type CheckStatus = 'healthy' | 'degraded' | 'unhealthy';

/** The result of a check, with numbers for the report. */
export interface CheckResult {
  readonly status: CheckStatus;
  /** Why it is not healthy, for operators. Anybody may read it. */
  readonly reason?: string;
  readonly facts?: Readonly<Record<string, number>>;
}

export type Check = () => Promise<CheckResult>;

/** The checks of an API process: the parts that it needs to serve requests. */
export interface HealthChecks {
  readonly database: Check;
  /** Of Temporal and the workers. It says nothing about the readiness (`isReady`). */
  readonly temporal: Check;
  readonly memory: Check;
  /** Of the keys that verify tokens. */
  readonly tokens: Check;
  /** Its result has the fact `active_actors`. */
  readonly actors: Check;
}

export type HealthReport = Readonly<Record<keyof HealthChecks, CheckResult>>;

/** A check that takes longer counts as unhealthy. */
const TIME_LIMIT_MS = 2000;
/** Shares of the heap limit that are in use. */
const HEAP_DEGRADED = 0.85;
const HEAP_UNHEALTHY = 0.97;

/** Runs all checks at once, each within its time limit. */
export async function runChecks(checks: HealthChecks, timeLimitMs = TIME_LIMIT_MS): Promise<HealthReport> {
  const [database, temporal, memory, tokens, actors] = await Promise.all([
    limited(checks.database, timeLimitMs),
    limited(checks.temporal, timeLimitMs),
    limited(checks.memory, timeLimitMs),
    limited(checks.tokens, timeLimitMs),
    limited(checks.actors, timeLimitMs),
  ]);
  return { database, temporal, memory, tokens, actors };
}

/** Time for which a report is given again. A load balancer asks less often. */
const REPORT_MS = 1000;

/**
 * Reports the health. Anybody may ask, so all who ask within a second get one report: the checks cost a statement and a call
 * of Temporal.
 * @param now milliseconds
 * @returns `freshMs`: for how many more milliseconds the last report is given
 */
export function makeHealthReport(
  checks: HealthChecks,
  now: () => number = () => performance.now(),
): { readonly read: () => Promise<HealthReport>; readonly freshMs: () => number } {
  let latest: Promise<HealthReport> | undefined;
  let at = 0;
  return {
    read: () => {
      // While checks run, others wait for them: a check that hangs must not be started again and again.
      if (latest === undefined || now() - at >= REPORT_MS) {
        at = Infinity;
        latest = runChecks(checks).finally(() => (at = now()));
      }
      return latest;
    },
    freshMs: () => (at === Infinity ? 0 : Math.max(0, at + REPORT_MS - now())),
  };
}

/** The worst status of all checks. */
export function overall(report: HealthReport): CheckStatus {
  const found = Object.values(report).map(({ status }) => status);
  if (found.includes('unhealthy')) return 'unhealthy';
  return found.includes('degraded') ? 'degraded' : 'healthy';
}

/** Why each check that is not healthy is so, in the order of the checks. */
export function reasonsOf(report: HealthReport): string[] {
  return Object.entries(report).flatMap(([name, { status, reason }]) =>
    status === 'healthy' ? [] : [`${name}: ${reason ?? status}`],
  );
}

/**
 * Whether the process can serve. Temporal does not count: without it reads and streams work, under `auto` everything does, and the other
 * processes see the same (docs/adr/0032-orchestrators.md).
 */
export function isReady({ database, memory, tokens, actors }: HealthReport): boolean {
  return [database, memory, tokens, actors].every(({ status }) => status !== 'unhealthy');
}

async function limited(check: Check, timeLimitMs: number): Promise<CheckResult> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<CheckResult>((resolve) => {
    const reason = `no result within ${timeLimitMs / 1000} s`;
    timer = setTimeout(() => resolve({ status: 'unhealthy', reason }), timeLimitMs);
  });
  try {
    return await Promise.race([check(), limit]);
  } catch {
    // The text of the error may name a host or a user.
    return { status: 'unhealthy', reason: 'it does not answer' };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Healthy while the database answers, has all tables, and its connections can be used.
 * @param isComplete whether the database has all tables
 * @param problem why the connections cannot be used
 */
export function databaseCheck(
  pool: pg.Pool,
  isComplete: () => Promise<boolean>,
  problem: () => string | undefined = () => undefined,
): Check {
  let complete = false;
  return async () => {
    const known = problem();
    if (known !== undefined) return { status: 'unhealthy', reason: known };
    try {
      // Tables are not dropped. So this is checked each time only until they are all there.
      if (!complete) complete = await isComplete();
      else await pool.query('select 1');
    } catch (error) {
      if (error instanceof PoolerError) return { status: 'unhealthy', reason: error.reason };
      throw error;
    }
    return complete
      ? { status: 'healthy' }
      : { status: 'unhealthy', reason: 'migrations are missing: run `npm run migrate`' };
  };
}

/** Compares the heap in use with its limit. */
export function memoryCheck(measure: typeof getHeapStatistics = getHeapStatistics): Check {
  return () => {
    const { used_heap_size: used, heap_size_limit: limit } = measure();
    const share = used / limit;
    const status = share >= HEAP_UNHEALTHY ? 'unhealthy' : share >= HEAP_DEGRADED ? 'degraded' : 'healthy';
    if (status === 'healthy') return Promise.resolve({ status });
    return Promise.resolve({ status, reason: `${Math.floor(share * 100)} % of the heap is in use` });
  };
}

/**
 * Degraded while the identity provider is away: tokens with known keys go on counting. Unhealthy before its keys were fetched for
 * the first time: no token can be verified, and another process that has the keys should get the requests.
 * @param state absent = no key has to be fetched
 */
export function tokensCheck(state: (() => { readonly known: number; readonly isAway: boolean }) | undefined): Check {
  return () => {
    const { known, isAway } = state?.() ?? { known: 1, isAway: false };
    if (!isAway) return Promise.resolve({ status: 'healthy' });
    return Promise.resolve(
      known === 0
        ? { status: 'unhealthy', reason: 'the keys of the identity provider cannot be fetched: no token is accepted' }
        : {
            status: 'degraded',
            reason: 'the keys of the identity provider cannot be fetched: known ones go on counting',
          },
    );
  };
}

/** Reports the number of conversations that have work. Degraded while more than `limit` operations wait. */
export function actorsCheck(deps: {
  readonly active: () => number;
  readonly waiting: () => number;
  readonly limit: number;
}): Check {
  return () => {
    const facts = { active_actors: deps.active() };
    const waiting = deps.waiting();
    if (waiting <= deps.limit) return Promise.resolve({ status: 'healthy', facts });
    return Promise.resolve({ status: 'degraded', reason: `${waiting} operations wait`, facts });
  };
}
