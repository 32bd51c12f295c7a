import { continueAsNew, isCancellation, proxyLocalActivities, sleep, workflowInfo } from '@temporalio/workflow';
import type { ConsistencyActivities } from '../activities/consistency.ts';

const activities = proxyLocalActivities<ConsistencyActivities>({
  // For all tries together. Why there is no start-to-close timeout: see the conversation's activities.
  scheduleToCloseTimeout: '5 minutes',
  retry: { maximumAttempts: 3 },
});

/** Pause after a step that failed, for example because Postgres is away. */
const RETRY_MS = 60_000;
/** Events of one run. A step has about eight. */
const MAX_EVENTS = 4000;

/**
 * A Temporal Schedule runs this workflow each day, and an operator may run the schedule at any time. How far the audit has come
 * stands in Postgres: a run of this workflow that is lost loses nothing, and the next one goes on.
 * @param isBegun the run before this one has begun the audit
 */
export async function consistencyAudit(isBegun = false): Promise<void> {
  let begin = !isBegun;
  for (;;) {
    let pauseMs = RETRY_MS;
    try {
      const step = await activities.auditStep({ begin });
      if (step === undefined) return;
      begin = false;
      pauseMs = step.pauseMs;
    } catch (error) {
      if (isCancellation(error)) throw error;
    }
    await sleep(pauseMs);
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    if (continueAsNewSuggested || historyLength > MAX_EVENTS) await continueAsNew<typeof consistencyAudit>(!begin);
  }
}
