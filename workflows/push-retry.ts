import {
  continueAsNew,
  isCancellation,
  proxyLocalActivities,
  setCurrentDetails,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { PushActivities } from '../activities/push.ts';

const activities = proxyLocalActivities<PushActivities>({
  // For all tries together. Why there is no start-to-close timeout: see the conversation's activities.
  scheduleToCloseTimeout: '5 minutes',
  retry: { maximumAttempts: 3 },
  summary: 'send wake-ups of failing targets again',
});

/** Pause after a step that failed, for example because Postgres is away. */
const RETRY_MS = 30_000;
/** Other targets may fail meanwhile, and be due earlier. */
const LONGEST_PAUSE_MS = 15_000;
const SHORTEST_PAUSE_MS = 1000;
/** Events of one run. A step has about eight. */
const MAX_EVENTS = 4000;

/**
 * Tries failing push targets again, as long as there are any. Which they are and when each is due stands in Postgres; this workflow
 * is the alarm clock. Any worker starts it when a target fails, so one that is lost loses nothing.
 */
export async function pushRetry(): Promise<void> {
  for (;;) {
    let pauseMs = RETRY_MS;
    try {
      const { count, nextInMs } = await activities.retryPushes();
      if (count === 0) return;
      pauseMs = Math.min(Math.max(nextInMs, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS);
      setCurrentDetails(`**${count}** push targets fail`);
    } catch (error) {
      if (isCancellation(error)) throw error;
      setCurrentDetails('the newest try failed');
    }
    await sleep(pauseMs, { summary: 'until targets are due' });
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    if (continueAsNewSuggested || historyLength > MAX_EVENTS) await continueAsNew<typeof pushRetry>();
  }
}
