import { ApplicationFailure } from '@temporalio/common';
import type pg from 'pg';
import { type Finding, type Slice, auditNextConversations, auditNextKeyPackages } from '../store/consistency/audit.ts';
import { type Progress, type Run, beginRun, currentRun, saveProgress } from '../store/consistency/runs.ts';

/** An activity reads slices for about this long. Then the workflow makes a pause, which holds no slot of the worker. */
const STEP_MS = 1000;
/** A look-up by key that takes longer says that the database is busy. */
const BUSY_LOOK_UP_MS = 50;
/** While the database or the pool is busy, the audit makes pauses that are longer by this factor. */
const BUSY_FACTOR = 5;

export interface ConsistencyActivityDeps {
  readonly pool: pg.Pool;
  /** Part of the time, in percent, in which the audit reads; 1 to 100. */
  readonly dutyPercent: number;
  /** Called for each stored finding, for the log. */
  readonly onFinding: (finding: Finding) => void;
  /** Called with the complete error of a step, for the log. */
  readonly onFailure: (error: unknown) => void;
}

export interface ConsistencyActivities {
  /**
   * Goes on with the audit that is running.
   * @param input.begin begins one if none is running
   * @returns how long to wait before the next step, in milliseconds; `undefined` = there is nothing to go on with
   */
  auditStep: (input: { readonly begin: boolean }) => Promise<{ pauseMs: number } | undefined>;
}

/** Activities of the consistency audit (docs/explanation/consistency.md). How far it has come stands in Postgres. */
export function createConsistencyActivities(deps: ConsistencyActivityDeps): ConsistencyActivities {
  const { pool } = deps;
  return {
    auditStep: async ({ begin }) => {
      const startedAt = performance.now();
      let isBusy = false;
      try {
        let run = begin ? await beginRun(pool, '') : await currentRun(pool);
        while (run !== undefined && performance.now() - startedAt < STEP_MS && !isBusy) {
          const slice = await readSlice(pool, run);
          isBusy = pool.waitingCount > 0 || slice.lookUpMs > BUSY_LOOK_UP_MS;
          run = await save(deps, run, slice);
        }
        if (run === undefined) return undefined;
      } catch (error) {
        deps.onFailure(error);
        // A database message may contain stored values, and failures are stored in the history (invariant 10).
        throw ApplicationFailure.create({ type: 'audit', message: 'The audit cannot go on now' });
      }
      return { pauseMs: pauseAfter(performance.now() - startedAt, deps.dutyPercent, isBusy) };
    },
  };
}

/** The pause after so much work, all in milliseconds. */
export function pauseAfter(workMs: number, dutyPercent: number, isBusy: boolean): number {
  const duty = dutyPercent / (isBusy ? BUSY_FACTOR : 1);
  return Math.round(workMs * (100 / duty - 1));
}

function readSlice(pool: pg.Pool, { subject, position, lastKey }: Run): Promise<Slice> {
  return subject === 'conversations'
    ? auditNextConversations(pool, { after: position, last: lastKey })
    : auditNextKeyPackages(pool, position);
}

/** @returns the run as it goes on; `undefined` = it ended, was stopped, or another process has gone on with it */
async function save(deps: ConsistencyActivityDeps, run: Run, slice: Slice): Promise<Run | undefined> {
  const { checked, found, findings } = slice;
  const next = nextAfter(run, slice);
  const saved = await saveProgress(deps.pool, run, {
    checked,
    found,
    findings,
    ...(next === undefined ? {} : { next }),
  });
  if (saved === undefined) return currentRun(deps.pool);
  for (const finding of findings.slice(0, saved.stored - run.stored)) deps.onFinding(finding);
  return saved.state === 'running' ? saved : undefined;
}

function nextAfter({ subject }: Run, { next }: Slice): Progress['next'] {
  if (next !== undefined) return { subject, position: next };
  return subject === 'conversations' ? { subject: 'key-packages', position: '' } : undefined;
}
