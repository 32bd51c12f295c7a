import { CancellationScope, continueAsNew, workflowInfo } from '@temporalio/workflow';
import { applyBatch } from './batch.ts';
import { endReason, settle } from './ending.ts';
import { registerHandlers } from './handlers.ts';
import type { ConversationEnd, ConversationInput } from './messages.ts';
import { ConversationRun } from './run.ts';
import { sinks } from './sinks.ts';
import { doDueWork, loadDueTimes } from './timers.ts';

/**
 * One conversation: a mailbox, one order, batches, timers. It decides nothing. Every command goes to the deciding
 * transaction in Postgres, and the workflow hands back the answers. It may be terminated or reset at any time.
 */
export async function conversation(input: ConversationInput): Promise<ConversationEnd> {
  const { cancelRequested } = CancellationScope.current();
  // A cancel is handled as a shutdown, so nothing below is cancelled half-way.
  return CancellationScope.nonCancellable(() => live(input, cancelRequested));
}

/** The life of one run, from its start to its end. */
async function live(input: ConversationInput, cancelRequested: Promise<never>): Promise<ConversationEnd> {
  // 1. It takes over what the run before left, and listens.
  const run = new ConversationRun(input);
  registerHandlers(run);
  announceStart();
  cancelRequested.catch(() => run.shutDown(run.shutdownReason ?? 'cancelled'));

  // 2. It sets its alarms.
  run.idle.set(Date.now() + run.settings.idleMs);
  run.setFlushAlarm();
  // Started without a command, by the sweep or by a signal: load the due times first.
  if (run.mailbox.isEmpty()) await loadDueTimes(run);

  for (;;) {
    // 3. It waits for a command, for an alarm, or for a reason to end.
    await run.until(() => run.hasWork() || run.needsFlushAlarm() || endReason(run) !== undefined);

    // 4. It applies what waits as one batch, and then what is due by time.
    if (run.hasBatch()) await applyBatch(run);
    run.setFlushAlarm();
    if (run.stale) await loadDueTimes(run);
    // Also after a batch: a conversation that is never idle must not keep its bodies for ever.
    if (run.retention.due) await doDueWork(run);

    // 5. It ends, or goes on as a new run with a short history; new work keeps it alive.
    const reason = endReason(run);
    if (reason !== undefined && (await settle(run, reason))) {
      sinks.conversation.ended(reason);
      return reason === 'continue' ? await continueRun(run) : { reason };
    }
  }
}

/** For metrics: whether this run is new, continued, or rebuilt from its history. */
function announceStart(): void {
  const { unsafe, continuedFromExecutionRunId } = workflowInfo();
  sinks.conversation.started({ replaying: unsafe.isReplaying, continued: continuedFromExecutionRunId !== undefined });
}

function continueRun({ conversation: id, settings, increments }: ConversationRun): Promise<never> {
  return continueAsNew<typeof conversation>({
    conversation: id,
    settings,
    ...(increments.length === 0 ? {} : { increments }),
  });
}
