import type { Try } from './load/tries.ts';
import type { PathSample } from './paths.ts';

/** What happened in one step of time. */
export interface Step {
  readonly messages: number;
  readonly commits: number;
  readonly failed: number;
  /** From 0 to 1; `undefined` = nothing was decided. */
  readonly workflowShare: number | undefined;
}

export interface Timeline {
  /** By `performance.now()`. */
  readonly from: number;
  readonly stepMs: number;
  readonly steps: readonly Step[];
}

const MAX_STEPS = 400;
const SHORTEST_STEP_MS = 1000;

export function makeTimeline(given: {
  readonly from: number;
  readonly until: number;
  readonly tries: readonly Try[];
  readonly samples: readonly PathSample[];
}): Timeline {
  const { from, until, tries, samples } = given;
  const stepMs = Math.max(SHORTEST_STEP_MS, (until - from) / MAX_STEPS);
  const count = Math.ceil((until - from) / stepMs);
  const messages = Array<number>(count).fill(0);
  const commits = Array<number>(count).fill(0);
  const failed = Array<number>(count).fill(0);
  const workflow = Array<number>(count).fill(0);
  const all = Array<number>(count).fill(0);
  const add = (to: number[], at: number, by = 1): void => {
    const step = Math.floor((at - from) / stepMs);
    if (step >= 0 && step < count) to[step] = (to[step] ?? 0) + by;
  };
  for (const { sort, failed: code, endedAt } of tries) {
    if (code !== undefined) add(failed, endedAt);
    else if (sort === 'message') add(messages, endedAt);
    else if (sort === 'commit') add(commits, endedAt);
  }
  for (const sample of samples) {
    add(workflow, sample.at, sample.workflow);
    add(all, sample.at, sample.workflow + sample.direct);
  }
  const steps = messages.map((count, i): Step => {
    const decided = all[i] ?? 0;
    return {
      messages: count,
      commits: commits[i] ?? 0,
      failed: failed[i] ?? 0,
      workflowShare: decided === 0 ? undefined : (workflow[i] ?? 0) / decided,
    };
  });
  return { from, stepMs, steps };
}
