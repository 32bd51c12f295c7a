import type { ReplayWorkerOptions } from '@temporalio/worker';
import { makeMetrics } from '../../process/metrics.ts';
import { makeConversationSinks } from '../../worker/conversation-sinks.ts';
import { workflowBundle } from '../../worker/create-worker.ts';

/** Options with which the built bundle replays histories (`Worker.runReplayHistories`). */
export async function replayOptions(): Promise<ReplayWorkerOptions> {
  const { sinks } = makeConversationSinks(makeMetrics({ collectDefaults: false }), 100);
  return { workflowBundle: { code: await workflowBundle(false) }, sinks };
}
