import pLimit from 'p-limit';
import type pg from 'pg';
import { listDue } from '../store/retention/retention.ts';
import { type SweepAges, makeSweep } from '../store/retention/sweep.ts';

/** Maximum number of conversations that one sweep wakes. The next sweep wakes the rest. */
const WAKE_LIMIT = 1000;
const WAKE_PARALLEL = 20;

export interface SweepActivityDeps {
  readonly pool: pg.Pool;
  readonly ages: SweepAges;
  readonly onSwept: (table: string, rows: number) => void;
  /** Starts the workflow of a conversation unless it is running. At its start the workflow loads its due times. */
  readonly wake: (conversation: string) => Promise<void>;
}

export interface SweepActivities {
  wakeDue: (input: { readonly now: number }) => Promise<number>;
  deleteOrphans: () => Promise<Record<string, number>>;
}

/** Activities of the scheduled sweep. */
export function createSweepActivities(deps: SweepActivityDeps): SweepActivities {
  const sweep = makeSweep(deps.pool, deps.ages);
  return {
    wakeDue: async ({ now }) => {
      const due = await listDue(deps.pool, now, WAKE_LIMIT);
      const limit = pLimit(WAKE_PARALLEL);
      try {
        await limit.map(due, (conversation) => deps.wake(conversation));
      } finally {
        // After a failure nothing more starts: Temporal runs the activity again.
        limit.clearQueue();
      }
      return due.length;
    },
    deleteOrphans: async () => {
      const deleted = await sweep();
      for (const [table, rows] of Object.entries(deleted)) deps.onSwept(table, rows);
      return deleted;
    },
  };
}
