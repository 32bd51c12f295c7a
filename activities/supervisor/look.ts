import type { TroubleSign } from '../../domain/trouble.ts';
import { type Away, type Look, type Suspect, canBeMended, strongest } from '../../domain/supervision/look.ts';
import { isDrained } from '../../store/process/drain.ts';
import { signProcess } from '../../store/process/processes.ts';
import { listDue } from '../../store/retention/retention.ts';
import { readPolicy } from '../../store/supervision/policy.ts';
import { type Trouble, forgetTroubles, listTroubles, reportTroubles } from '../../store/trouble/troubles.ts';
import type { LookInput, SupervisorActivityDeps } from './contract.ts';
import { blocked } from './blocked.ts';
import { disagreeing } from './disagreement.ts';

/** Most that one look takes from each place. */
const REPORTS = 500;
const FAILING = 200;
const OVERDUE = 50;
const FAILED = 100;
/** Runs that are compared with Postgres in each round. */
const SAMPLE = 3;
const DISAGREED = 20;
/** Signs that others see. The supervisor sees the rest itself, as it is now. */
const REPORTED: readonly TroubleSign[] = ['task-failures', 'timeouts', 'infrastructure', 'mailbox-full'];
/** A report counts for so long, and for three rounds at least. */
const REPORT_COUNTS_MS = 10_000;
/** Failed runs stand in visibility late. Those that are found twice are counted once, by their run ids. */
const FAILED_WITHIN_MS = 120_000;
const FORGOTTEN_MS = 7 * 24 * 3600_000;

/** Looks for conversations in trouble: into Postgres, and into Temporal's visibility. */
export function makeLook(deps: SupervisorActivityDeps): (input: LookInput) => Promise<Look> {
  const { pool, runs, taskQueue, version, build, onFailure } = deps;
  const self = { id: `supervisor/${taskQueue}`, kind: 'supervisor', version, build, taskQueue } as const;
  /** Visibility may lag or fail: then this part of the look is empty. */
  const orElse = async <T>(what: string, found: Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await found;
    } catch (error) {
      onFailure(what, error);
      return otherwise;
    }
  };

  /** Why no new run may be started, or would be as silent as the old one. */
  const whoIsAway = async (): Promise<Away | undefined> => {
    if (await isDrained(pool)) return 'drain';
    return (await runs.workersAnswer()) ? undefined : 'workers';
  };

  const lookAround = async ({ facts, sampleFrom }: LookInput): Promise<Look> => {
    const { policy, mark, databaseMs } = await readPolicy(pool);
    const { intervalMs } = policy;
    await signProcess(pool, { ...self, facts: { ...facts, intervalMs } });
    const withinMs = Math.max(REPORT_COUNTS_MS, 3 * intervalMs);
    const [troubles, overdue, failing, failedRuns, sample] = await Promise.all([
      listTroubles(pool, { withinMs, limit: REPORTS }),
      listDue(pool, databaseMs - policy.overdueMs, OVERDUE),
      orElse('failing runs', runs.failing(FAILING), []),
      orElse('failed runs', runs.failedSince(Date.now() - FAILED_WITHIN_MS, FAILED), []),
      orElse('sample of runs', runs.sample(sampleFrom, SAMPLE), { conversations: [], next: '' }),
      forgetTroubles(pool, FORGOTTEN_MS),
    ]);
    // Those that disagreed are compared again in each round.
    const compared = [...sample.conversations, ...namesOf(troubles, 'disagrees').slice(0, DISAGREED)];
    const own: Suspect[] = [
      ...failing.map((conversation): Suspect => ({ conversation, sign: 'task-failures', details: {} })),
      ...overdue.map((conversation): Suspect => ({ conversation, sign: 'overdue', details: {} })),
      ...(await orElse('comparison with Postgres', disagreeing(pool, runs, compared), [])),
    ];
    const reported = troubles
      .filter(({ sign }) => REPORTED.includes(sign))
      .map(({ conversation, sign, seen }): Suspect => ({ conversation, sign, details: { seen } }));
    const all = strongest([...own, ...reported]);
    const locks = await blocked(pool, all, troubles);
    const suspects = [...all.filter(({ conversation }) => !locks.held.has(conversation)), ...locks.suspects];
    await reportTroubles(pool, [...own, ...locks.suspects]);
    const away = suspects.some(({ sign }) => canBeMended(sign)) ? await whoIsAway() : undefined;
    return {
      policy,
      policyMark: mark,
      suspects,
      failedRuns,
      sampleFrom: sample.next,
      ...(away === undefined ? {} : { away }),
    };
  };

  return async (input) => {
    try {
      return await lookAround(input);
    } catch (error) {
      onFailure('look', error);
      const { sampleFrom } = input;
      return { policyMark: '', suspects: [], failedRuns: [], away: 'postgres', sampleFrom };
    }
  };
}

function namesOf(troubles: readonly Trouble[], wanted: TroubleSign): string[] {
  return troubles.filter(({ sign }) => sign === wanted).map(({ conversation }) => conversation);
}
