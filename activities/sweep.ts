import pLimit from 'p-limit';
import type pg from 'pg';
import { countIncrements, listUncounted } from '../store/log/increments.ts';
import { isDrained } from '../store/process/drain.ts';
import { listDue } from '../store/retention/retention.ts';
import { forgottenOffBoardings } from '../store/off-boarding/off-boardings.ts';
import { type SweepAges, makeSweep } from '../store/retention/sweep.ts';

/** Maximum number of conversations that one sweep wakes. The next sweep wakes the rest. */
const WAKE_LIMIT = 1000;
const WAKE_PARALLEL = 20;
/** The workflow counts an increment within a second. One that is this old was forgotten by a run that is gone. */
const FORGOTTEN_MS = 10_000;
/** Increments that one sweep counts. */
const COUNT_LIMIT = 1000;
/** Off-boardings that one sweep starts again. */
const OFF_BOARDING_LIMIT = 100;
/** Each may wait for a lock of its conversation, and holds a connection meanwhile. */
const COUNT_PARALLEL = 2;
/** Conversations that are locked for long must not use up the time of the sweep. */
const COUNT_MS = 20_000;

export interface SweepActivityDeps {
  readonly pool: pg.Pool;
  readonly ages: SweepAges;
  readonly onSwept: (table: string, rows: number) => void;
  /** Has the workflow of a conversation load its due times, and starts it unless it is running. */
  readonly wake: (conversation: string) => Promise<void>;
  /** Starts the workflow of an off-boarding, unless it is running. */
  readonly startOffBoarding: (id: number) => Promise<void>;
  /** Called for each conversation that could not be served now. The next sweep tries again. */
  readonly onFailure: (conversation: string, error: unknown) => void;
}

export interface SweepActivities {
  /** Wakes conversations whose timer is due (none while the workflow path is drained), and counts increments that no run counted. @returns conversations woken */
  wakeDue: (input: { readonly now: number }) => Promise<number>;
  deleteOrphans: () => Promise<Record<string, number>>;
}

/** Activities of the scheduled sweep. */
export function createSweepActivities(deps: SweepActivityDeps): SweepActivities {
  const sweep = makeSweep(deps.pool, deps.ages);
  /** One conversation in trouble must not keep the others waiting. @returns how many were served */
  const serve = async (
    conversations: readonly string[],
    parallel: number,
    act: (conversation: string) => Promise<void>,
  ): Promise<number> => {
    const served = await pLimit(parallel).map(conversations, (conversation) =>
      act(conversation).then(
        () => 1,
        (error: unknown) => {
          deps.onFailure(conversation, error);
          return 0;
        },
      ),
    );
    return served.reduce<number>((sum, one) => sum + one, 0);
  };
  return {
    wakeDue: async ({ now }) => {
      const due = (await isDrained(deps.pool)) ? [] : await listDue(deps.pool, now, WAKE_LIMIT);
      const woken = await serve(due, WAKE_PARALLEL, deps.wake);
      const until = performance.now() + COUNT_MS;
      await serve(await listUncounted(deps.pool, FORGOTTEN_MS, COUNT_LIMIT), COUNT_PARALLEL, async (conversation) => {
        if (performance.now() < until) await countIncrements(deps.pool, conversation);
      });
      for (const id of await forgottenOffBoardings(deps.pool, OFF_BOARDING_LIMIT)) await deps.startOffBoarding(id);
      return woken;
    },
    deleteOrphans: async () => {
      const deleted = await sweep();
      for (const [table, rows] of Object.entries(deleted)) deps.onSwept(table, rows);
      return deleted;
    },
  };
}
