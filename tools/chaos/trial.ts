import { spend, waitUntil } from '../harness/wait-until.ts';
import type { Fault, Stage } from './fault.ts';
import { type FaultTimes, type Impact, measureImpact } from './impact.ts';
import type { Load } from './load/load.ts';
import { type PathWatch, workflowShare } from './paths.ts';

/** Longer than any recovery that was ever seen. */
const RECOVERY_MS = 120_000;
/** What counts as the workflow path in use again: so much of the share that it had before. */
const BACK_SHARE = 0.9;
/** The share is taken over this time. */
const WINDOW_MS = 1500;

export interface Trial {
  readonly fault: Fault;
  readonly lastsMs: number;
  /** Load without a fault, before and after. */
  readonly calmMs: number;
}

/** Injects a fault, heals it, waits until the service has fully recovered, and measures what clients noticed. */
export async function runTrial(
  stage: Stage,
  load: Load,
  watch: PathWatch,
  { fault, lastsMs, calmMs }: Trial,
): Promise<Impact> {
  const { arena } = stage;
  await spend(calmMs);
  const injectedAt = performance.now();
  const before = workflowShare(watch.samples, injectedAt - 2 * WINDOW_MS, injectedAt) ?? 0;
  const { what, affected, heal } = await fault.inject(stage);
  // Time under the fault is what is measured.
  await spend(lastsMs);
  await heal();
  const healedAt = performance.now();

  const isBack = (): boolean => {
    if (arena.path === 'direct') return true;
    const now = performance.now();
    return (workflowShare(watch.samples, Math.max(healedAt, now - WINDOW_MS), now) ?? 0) >= before * BACK_SHARE;
  };
  const [readyAt, answeredAt, workflowAt] = await Promise.all([
    timeOf(arena.untilReady()),
    timeOf(load.probe()),
    timeOf(waitUntil(isBack, { what: 'the workflow path is back', timeoutMs: RECOVERY_MS, everyMs: 100 })),
  ]);
  await spend(calmMs);
  const times: FaultTimes = { injectedAt, healedAt, readyAt, answeredAt, workflowAt, endedAt: performance.now() };
  return measureImpact({ fault, what, affected, times, tries: load.tries.all, samples: watch.samples });
}

/** When something has happened; `undefined` when it failed. */
function timeOf(happening: Promise<void>): Promise<number | undefined> {
  return happening.then(
    () => performance.now(),
    () => undefined,
  );
}
