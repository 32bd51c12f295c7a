import { TemporalFailure, proxyLocalActivities, setCurrentDetails, sleep, workflowInfo } from '@temporalio/workflow';
import type { SweepActivities } from '../activities/sweep.ts';

const proxied = (summary: string): SweepActivities =>
  proxyLocalActivities<SweepActivities>({
    // For all tries together. Why there is no start-to-close timeout: see the conversation's activities.
    scheduleToCloseTimeout: '90 seconds',
    retry: { maximumAttempts: 3 },
    summary,
  });
const { wakeDue } = proxied('wake conversations that are due');
const { deleteOrphans } = proxied('delete rows that belong to nothing');

/** How a run repeats itself. Times in milliseconds. */
export interface SweepInput {
  /** From the beginning of a round to the beginning of the next one. */
  readonly everyMs: number;
  /** The run ends after this time. */
  readonly forMs: number;
}

export interface SweepResult {
  /** Conversations woken. */
  readonly woken: number;
  /** Rows deleted, by table. */
  readonly deleted: Record<string, number>;
}

/**
 * Wakes conversations whose timer is due and that have no run, so idle completion, terminate and delete lose no timer. It also
 * deletes orphans. A Temporal Schedule starts a run that repeats this each minute for an hour (docs/adr/0024-web-ui.md).
 * @param input absent = one round, for runs by hand and for schedules of earlier releases
 * @returns the sums of all rounds
 */
export async function sweep(input?: SweepInput): Promise<SweepResult> {
  if (input === undefined) return round();
  const total = new Total();
  const end = Date.now() + input.forMs;
  for (let rounds = 1; ; rounds++) {
    const startedAt = Date.now();
    let problem: string | undefined;
    try {
      total.add(await round());
    } catch (error) {
      // The next round tries again: Postgres may be away for a while.
      if (!(error instanceof TemporalFailure)) throw error;
      problem = error.message;
    }
    showRounds(rounds, total.result(), problem);
    const next = startedAt + input.everyMs;
    // The schedule starts the next run within a minute.
    if (next >= end || workflowInfo().continueAsNewSuggested) return total.result();
    await sleep(Math.max(next - Date.now(), 1), { summary: 'until the next round' });
  }
}

async function round(): Promise<SweepResult> {
  const woken = await wakeDue({ now: Date.now() });
  const deleted = await deleteOrphans();
  return { woken, deleted };
}

/** What all rounds of a run did. */
class Total {
  #woken = 0;
  readonly #deleted = new Map<string, number>();

  add({ woken, deleted }: SweepResult): void {
    this.#woken += woken;
    for (const [table, rows] of Object.entries(deleted)) {
      this.#deleted.set(table, (this.#deleted.get(table) ?? 0) + rows);
    }
  }

  result(): SweepResult {
    return { woken: this.#woken, deleted: Object.fromEntries(this.#deleted) };
  }
}

/** For people, in the Web UI. */
function showRounds(rounds: number, { woken, deleted }: SweepResult, problem: string | undefined): void {
  const rows = Object.values(deleted).reduce((sum, one) => sum + one, 0);
  const state = problem === undefined ? 'idle until the next round' : `the newest round failed: ${problem}`;
  setCurrentDetails(`**round ${rounds}** · ${woken} conversations woken · ${rows} rows deleted · ${state}`);
}
