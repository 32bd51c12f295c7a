import { TemporalFailure } from '@temporalio/workflow';
import { RETRY_MS, activities } from './activities.ts';
import type { ConversationRun } from './run.ts';
import { showRun } from './window.ts';

/** Loads the facts, and with them the due times, from Postgres. Increments that nobody counted are counted. */
export async function loadDueTimes(run: ConversationRun): Promise<void> {
  run.stale = false;
  try {
    run.learn(await activities.load({ conversation: run.conversation }));
  } catch (error) {
    lookAgainLater(run, error);
  }
  showRun(run);
}

/** Does what is due by time: retention, expired Welcomes, and the remains of a deleted conversation. */
export async function doDueWork(run: ConversationRun): Promise<void> {
  run.retention.clear();
  try {
    run.learn(await activities.retain({ conversation: run.conversation, now: Date.now() }));
    // There is more to do. The next step waits for a timer, so that time moves even if this step did nothing.
    if (run.retention.due) run.retention.set(Date.now() + 1);
  } catch (error) {
    lookAgainLater(run, error);
  }
  showRun(run);
}

/** Postgres is away: the conversation takes commands meanwhile. @throws errors that are no failures of an activity */
function lookAgainLater(run: ConversationRun, error: unknown): void {
  if (!(error instanceof TemporalFailure)) throw error;
  run.failed(error);
  run.retention.set(Date.now() + RETRY_MS);
}
