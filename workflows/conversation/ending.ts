import { allHandlersFinished, condition, workflowInfo } from '@temporalio/workflow';
import { applyBatch } from './batch.ts';
import type { ConversationEnd } from './messages.ts';
import type { ConversationRun } from './run.ts';

/**
 * A run continues as new at a quiet moment after the soft number of events, and at any moment after the hard one. After a
 * crash a worker replays the whole run before it can go on: 1,500 events cost it about a second, and many conversations
 * come back at once on one thread, each within the workflow task timeout, else it begins again. The server's own limits
 * are far above.
 */
const SOFT_HISTORY_EVENTS = 300;
const HARD_HISTORY_EVENTS = 800;
const HARD_HISTORY_BYTES = 8 * 1024 * 1024;

/** Why a run ends now: it completes for a reason, or continues as new. */
export type EndReason = ConversationEnd['reason'] | 'continue';

/** Whether the run has to end now; `undefined` = it goes on. */
export function endReason(run: ConversationRun): EndReason | undefined {
  if (run.shutdownReason !== undefined) return 'shutdown';
  const { historyLength, historySize, continueAsNewSuggested } = workflowInfo();
  if (historyLength > HARD_HISTORY_EVENTS || historySize > HARD_HISTORY_BYTES) return 'continue';
  if (!run.mailbox.isEmpty()) return undefined;
  const { continueAfter, minimumRunMs } = run.settings;
  const forced = continueAfter !== undefined && run.decided >= continueAfter;
  const old = Date.now() - run.startedAt >= minimumRunMs;
  const long = continueAsNewSuggested || historyLength > SOFT_HISTORY_EVENTS;
  if (old && (long || forced)) return 'continue';
  if (run.facts?.found === false && run.facts.dueAt === undefined) return run.decided > 0 ? 'deleted' : 'not-found';
  return run.idle.due ? 'idle' : undefined;
}

/** Finishes what is queued and lets every handler answer. @returns false when new work came: the run goes on */
export async function settle(run: ConversationRun, reason: EndReason): Promise<boolean> {
  run.closing = true;
  while (!run.mailbox.isEmpty()) await applyBatch(run);
  if (reason !== 'continue' && run.increments.length > 0) await applyBatch(run);
  await condition(allHandlersFinished);
  // Increments that came while the run closed must still be applied, unless the next run carries them.
  if (run.mailbox.isEmpty() && (reason === 'continue' || run.increments.length === 0)) return true;
  run.closing = false;
  return false;
}
