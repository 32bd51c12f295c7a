import type { ReplayWorkerOptions } from '@temporalio/worker';
import { makeMetrics } from '../../process/metrics.ts';
import { makeConversationSinks } from '../../worker/conversation-sinks.ts';
import { readBundle } from '../../worker/create-worker.ts';

/** Options with which a built bundle replays histories (`Worker.runReplayHistories`). */
export async function replayOptions(
  bundle: 'conversation' | 'supervisor' = 'conversation',
): Promise<ReplayWorkerOptions> {
  const { sinks } = makeConversationSinks(makeMetrics({ collectDefaults: false }), 100);
  return { workflowBundle: { code: await readBundle(bundle) }, sinks };
}
