import { DefaultLogger, type ReplayWorkerOptions, Runtime, Worker } from '@temporalio/worker';
import { type PlainHistory, historyFromPlain } from '../dispatch/history-json.ts';
import { makeMetrics } from '../process/metrics.ts';
import { conversationWorkflowId } from '../workflows/conversation/messages.ts';
import { makeConversationSinks } from './conversation-sinks.ts';
import { workflowBundle } from './create-worker.ts';
import { messageOf } from '../process/message-of.ts';

/** Options with which a bundle replays histories. @param bundle workflow code @default the one that was built here */
export async function replayOptions(bundle?: string): Promise<ReplayWorkerOptions> {
  const { sinks } = makeConversationSinks(makeMetrics({ collectDefaults: false }), 100);
  return { workflowBundle: { code: bundle ?? (await workflowBundle(false)) }, sinks };
}

/**
 * Replays the history of a run in this process.
 * @param conversation its id
 * @returns why the code cannot replay it; `undefined` = it can
 */
export async function replay(
  history: PlainHistory,
  conversation: string,
  bundle?: string,
): Promise<string | undefined> {
  // The SDK would log the same failure once more.
  Runtime.install({ logger: new DefaultLogger('ERROR', () => undefined) });
  const options = await replayOptions(bundle);
  try {
    await Worker.runReplayHistory(options, historyFromPlain(history), conversationWorkflowId(conversation));
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
