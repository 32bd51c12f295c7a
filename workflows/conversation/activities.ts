import { proxyLocalActivities } from '@temporalio/workflow';
import type { ConversationActivities } from '../../activities/conversation.ts';

/**
 * Local activities: one persistence write for update, decision and answer. The retry budget is short, so that waiting
 * requests end as retryable while the conversation lives on; statements give up before the activity does.
 */
export const activities = proxyLocalActivities<ConversationActivities>({
  // This ends a try that hangs. A try that fails is ended by the activity itself. There is no start-to-close timeout: the
  // SDK's core 1.24
  // never stops the timer of a failed try. When it fires, it cancels the try that runs then, and panics after a worker's stop.
  scheduleToCloseTimeout: 6000,
  localRetryThreshold: 10_000,
  retry: { initialInterval: 50, backoffCoefficient: 2, maximumInterval: 500 },
});

/** Time until the next try after a failed flush or a failed timer. */
export const RETRY_MS = 5000;
