import { type LocalActivityOptions, proxyLocalActivities } from '@temporalio/workflow';
import type { ConversationActivities } from '../../activities/conversation.ts';

/**
 * Local activities: one persistence write for update, decision and answer. The retry budget is short, so that waiting
 * requests end as retryable while the conversation lives on; statements give up before the activity does.
 */
const OPTIONS: LocalActivityOptions = {
  // This ends a try that hangs. A try that fails is ended by the activity itself. There is no start-to-close timeout: the
  // SDK's core 1.24
  // never stops the timer of a failed try. When it fires, it cancels the try that runs then, and panics after a worker's stop.
  scheduleToCloseTimeout: 6000,
  localRetryThreshold: 10_000,
  retry: { initialInterval: 50, backoffCoefficient: 2, maximumInterval: 500 },
};

const summarized = (summary: string): ConversationActivities =>
  proxyLocalActivities<ConversationActivities>({ ...OPTIONS, summary });

/** With summaries, which people see in the history. */
export const activities: ConversationActivities = {
  apply: summarized('decide a batch of commands').apply,
  load: summarized('load facts and due times').load,
  retain: summarized('retention and other work that is due').retain,
};

/** Time until the next try after a failed flush or a failed timer. */
export const RETRY_MS = 5000;
