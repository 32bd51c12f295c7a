import { TemporalFailure, log } from '@temporalio/workflow';
import { slicePacked } from '../../domain/packed-outcome.ts';
import { RETRY_MS, activities } from './activities.ts';
import { describe, isDefect, undecided } from './failures.ts';
import type { PendingUpdate } from './mailbox.ts';
import type { WaitingIncrement } from './messages.ts';
import type { ConversationRun } from './run.ts';
import { showRun } from './window.ts';

/** Group commit: everything that waits, up to limits, is one call of the deciding transaction. */
export async function applyBatch(run: ConversationRun): Promise<void> {
  const updates = run.mailbox.take();
  const increments = run.increments;
  run.increments = [];
  run.flush.clear();
  run.showDepth();
  try {
    await apply(run, updates, increments);
  } catch (error) {
    if (!(error instanceof TemporalFailure)) throw error;
    run.failed(error);
    // A defect of one update or increment must not fail the others of its batch.
    if (isDefect(error)) await applyOneByOne(run, updates, increments);
    else postpone(run, updates, increments, error);
  }
  run.idle.set(Date.now() + run.settings.idleMs);
  showRun(run);
}

async function applyOneByOne(
  run: ConversationRun,
  updates: readonly PendingUpdate[],
  increments: readonly WaitingIncrement[],
): Promise<void> {
  const parts = [
    ...updates.map((update) => ({ updates: [update], increments: [] })),
    ...increments.map((increment) => ({ updates: [], increments: [increment] })),
  ];
  for (const part of parts) {
    try {
      await apply(run, part.updates, part.increments);
    } catch (error) {
      if (!(error instanceof TemporalFailure)) throw error;
      // An increment that can never be applied is dropped: kept, it would fail every batch and every end of a run.
      run.failed(error);
      if (isDefect(error)) log.error('defect', { error: describe(error), increments: part.increments.length });
      postpone(run, part.updates, isDefect(error) ? [] : part.increments, error);
    }
  }
}

async function apply(
  run: ConversationRun,
  updates: readonly PendingUpdate[],
  increments: readonly WaitingIncrement[],
): Promise<void> {
  const operations = updates.flatMap((update) => update.operations);
  const requests = updates.flatMap((update) => update.requests);
  if (run.settings.logBatches) {
    log.debug('batch', { correlationIds: requests, operations: operations.length, increments: increments.length });
  }
  const { facts, outcomes } = await activities.apply({
    conversation: run.conversation,
    operations: [...operations, ...increments],
    requests,
    sizes: updates.map((update) => update.operations.length),
    ...(run.decided === 0 ? { isFirst: true } : {}),
  });
  run.learn(facts);
  run.decided += operations.length + increments.length;
  let position = 0;
  for (const update of updates) {
    update.answer({ outcomes: slicePacked(outcomes, position, update.operations.length) });
    position += update.operations.length;
  }
}

/** Nobody knows whether the batch was decided: requests ask again with the same command ids, increments are kept. */
function postpone(
  run: ConversationRun,
  updates: readonly PendingUpdate[],
  increments: readonly WaitingIncrement[],
  error: TemporalFailure,
): void {
  const type = isDefect(error) ? 'defect' : 'infra';
  for (const update of updates) update.answer(undecided(type, 'The decision is not known', [describe(error)]));
  run.increments = [...increments, ...run.increments];
  if (run.increments.length > 0) run.flush.set(Date.now() + RETRY_MS);
}
