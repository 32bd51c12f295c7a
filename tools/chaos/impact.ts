import type { Fault } from './fault.ts';
import type { Sort, Try } from './load/tries.ts';
import type { PathSample } from './paths.ts';

/** Times of a fault, by `performance.now()`. */
export interface FaultTimes {
  readonly injectedAt: number;
  /** Nothing is broken on purpose any more. */
  readonly healedAt: number;
  /** Every process runs and says that it is ready. `undefined` = it never did. */
  readonly readyAt: number | undefined;
  /** Every conversation has sent again. `undefined` = it never did. */
  readonly answeredAt: number | undefined;
  /** The workflow decides as much as before. `undefined` = it never did; on the direct path as `answeredAt`. */
  readonly workflowAt: number | undefined;
  /** Just before the next fault. */
  readonly endedAt: number;
}

/** What clients noticed of a fault. */
export interface Impact extends FaultTimes {
  readonly fault: string;
  readonly what: string;
  /** Failed tries, by code. */
  readonly failed: Readonly<Record<Sort, Readonly<Record<string, number>>>>;
  /** Longest time without a success, in milliseconds. */
  readonly gaps: { readonly message: number; readonly commit: number };
  /** The same for conversations that the fault did not concern, when it concerned some only. */
  readonly bystanders?: { readonly failed: number; readonly message: number; readonly commit: number };
  readonly diversions: Readonly<Record<string, number>>;
  /** Share of operations on the workflow path, from 0 to 1. */
  readonly workflowShare: number;
  readonly problems: readonly string[];
}

export function measureImpact(given: {
  readonly fault: Fault;
  readonly what: string;
  readonly affected: readonly string[] | undefined;
  readonly times: FaultTimes;
  readonly tries: readonly Try[];
  readonly samples: readonly PathSample[];
}): Impact {
  const { fault, what, times, affected } = given;
  const within = given.tries.filter(({ endedAt }) => endedAt >= times.injectedAt && endedAt <= times.endedAt);
  const hit = new Set(affected);
  const others = given.tries.filter(({ conversation }) => !hit.has(conversation));
  const gap = (sort: Sort, of: readonly Try[]): number => longestGap(of, sort, times);
  const samples = given.samples.filter(({ at }) => at >= times.injectedAt && at <= times.endedAt);
  const [workflow, direct] = (['workflow', 'direct'] as const).map((way) =>
    samples.reduce((sum, one) => sum + one[way], 0),
  );
  const all = (workflow ?? 0) + (direct ?? 0);
  return {
    ...times,
    fault: fault.name,
    what,
    failed: {
      message: countFailed(within, 'message'),
      commit: countFailed(within, 'commit'),
      other: countFailed(within, 'other'),
    },
    gaps: { message: gap('message', given.tries), commit: gap('commit', given.tries) },
    ...(affected === undefined || affected.length === 0
      ? {}
      : {
          bystanders: {
            failed: within.filter(({ failed, conversation }) => failed !== undefined && !hit.has(conversation)).length,
            message: gap('message', others),
            commit: gap('commit', others),
          },
        }),
    diversions: sumOf(samples.map(({ diversions }) => diversions)),
    workflowShare: all === 0 ? 0 : (workflow ?? 0) / all,
    problems: [
      ...(times.readyAt === undefined ? ['not every process was ready again'] : []),
      ...(times.answeredAt === undefined ? ['not every conversation answered again'] : []),
      ...(times.workflowAt === undefined ? ['the workflow path did not come back'] : []),
      ...unexplained(fault, within),
    ],
  };
}

/** The service answers every request within its deadline, and only with 503 when it cannot (invariant 11). */
function unexplained({ breaksClients = false }: Fault, tries: readonly Try[]): string[] {
  const isRight = ({ failed, status }: Try): boolean =>
    failed === undefined || status === 503 || (breaksClients && status === undefined);
  const wrong = countFailed(tries.filter((one) => !isRight(one)));
  return Object.entries(wrong).map(([code, count]) => `${count} tries ended as ${code}`);
}

function countFailed(tries: readonly Try[], of?: Sort): Record<string, number> {
  return sumOf(
    tries.flatMap(({ sort, failed, what }) => {
      if (failed === undefined) return [];
      if (of === undefined) return [{ [`${what} ${failed}`]: 1 }];
      return sort === of ? [{ [failed]: 1 }] : [];
    }),
  );
}

function sumOf(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums = new Map<string, number>();
  for (const [name, count] of counts.flatMap((one) => Object.entries(one)))
    sums.set(name, (sums.get(name) ?? 0) + count);
  return Object.fromEntries(sums);
}

/** From the last success before the fault, or its begin, to the end of its time. */
function longestGap(tries: readonly Try[], sort: Sort, { injectedAt, endedAt }: FaultTimes): number {
  const successes = tries
    .filter(
      (one) => one.sort === sort && one.failed === undefined && one.endedAt >= injectedAt && one.endedAt <= endedAt,
    )
    .map((one) => one.endedAt)
    .sort((a, b) => a - b);
  const times = [injectedAt, ...successes, endedAt];
  return Math.max(...times.map((at, i) => at - (times[i - 1] ?? at)));
}
