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
  await arena.untilReady();
  const healedAt = performance.now();

  const patience = { timeoutMs: RECOVERY_MS, everyMs: 100 };
  const answered = await settles(load.probe(), RECOVERY_MS);
  const answeredAt = answered ? performance.now() : undefined;
  const isBack = (): boolean => {
    if (arena.path === 'direct') return true;
    const now = performance.now();
    return (workflowShare(watch.samples, Math.max(healedAt, now - WINDOW_MS), now) ?? 0) >= before * BACK_SHARE;
  };
  const workflowAt = await waitUntil(isBack, { what: 'the workflow path is back', ...patience }).then(
    () => performance.now(),
    () => undefined,
  );
  await spend(calmMs);
  const times: FaultTimes = { injectedAt, healedAt, answeredAt, workflowAt, endedAt: performance.now() };
  return measureImpact({ fault, what, affected, times, tries: load.tries.all, samples: watch.samples });
}

async function settles(promise: Promise<void>, withinMs: number): Promise<boolean> {
  const late = spend(withinMs).then(() => false);
  return Promise.race([promise.then(() => true), late]);
}
