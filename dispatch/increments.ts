import type { Logger } from 'pino';
import type pg from 'pg';
import type { Command, IncrementCommand } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { StagedCommand, StoredIncrement } from '../domain/staged-command.ts';
import { type IncrementReceipt, storeIncrement } from '../store/log/increments.ts';
import { isRetryable } from '../store/sqlstate.ts';
import { batchFacts } from './batch-facts.ts';
import type { ConversationWorkflows } from './conversation-workflows.ts';
import type { ConversationPath, ExecutionPath, Executor, WayReason } from './executor.ts';
import { jitter, pause } from './pause.ts';
import { operationFact } from './operation-fact.ts';
import type { OperationWatch } from './operation-watch.ts';
import type { Submission } from './submission.ts';
import { classifyUpdateError } from './temporal-errors.ts';
import { waitedFor } from './waited-for.ts';

/** A signal that takes longer than this is given up: the increment is counted directly. */
const SIGNAL_MS = 1000;
/** Then it is left to the sweep. */
const COUNT_MS = 1000;

/**
 * Takes an explicit unread increment. When it returns an outcome that is no refusal, the increment is stored in Postgres, and
 * will be counted once: by the workflow, which gets a signal with the key; directly, on the direct path and while Temporal
 * does not answer; or by the sweep.
 * @throws AppError `unavailable`, `internal`
 */
export type SubmitIncrement = (submission: Submission<IncrementCommand>) => Promise<Outcome<'increment'>>;

export interface IncrementsDeps {
  readonly pool: pg.Pool;
  readonly workflows: Pick<ConversationWorkflows, 'increment'>;
  /** `direct` also while it is known that Temporal does not answer. */
  readonly pathOf: (conversation: string) => ExecutionPath;
  readonly direct: Executor<Command | StagedCommand>;
  /** Who wants to see operations. @default nobody */
  readonly operations?: OperationWatch;
  /** What an operator has chosen for a conversation. @default what `pathOf` says */
  readonly modeOf?: (conversation: string) => ConversationPath;
  readonly onRetry: (reason: string) => void;
  readonly log: Logger;
}

export function makeSubmitIncrement({
  pool,
  workflows,
  pathOf,
  direct,
  onRetry,
  log,
  operations,
  modeOf = pathOf,
}: IncrementsDeps): SubmitIncrement {
  const store = async ({
    conversation,
    command,
    deadline,
  }: Submission<IncrementCommand>): Promise<IncrementReceipt> => {
    for (;;) {
      try {
        return await storeIncrement(pool, conversation, command);
      } catch (error) {
        if (!isRetryable(error)) throw new AppError('internal', undefined, {}, { cause: error });
        onRetry('postgres');
        if (Date.now() >= deadline) {
          throw new AppError('unavailable', 'The increment could not be stored', {}, { cause: error });
        }
        await pause(jitter(50, 300), deadline);
      }
    }
  };
  /** @returns whether the workflow has it */
  const signal = async (conversation: string, stored: StoredIncrement, deadline: number): Promise<boolean> => {
    try {
      await workflows.increment(conversation, stored, Math.min(deadline, Date.now() + SIGNAL_MS));
      return true;
    } catch (error) {
      onRetry(classifyUpdateError(error));
      log.debug(
        { err: error, conversation, operations: [stored.id], waitedFor: 'temporal' },
        'the increment could not be signalled',
      );
      return false;
    }
  };

  return async (submission) => {
    const startedAt = performance.now();
    const { conversation, deadline, correlationId } = submission;
    const { outcome, stored } = await store(submission);
    if (stored === undefined) {
      tell(operations, submission, startedAt, outcome);
      return outcome;
    }
    const isDirect = pathOf(conversation) === 'direct';
    const reason = modeOf(conversation) === 'auto' ? 'auto' : 'setting';
    if (!isDirect && (await signal(conversation, stored, deadline))) {
      tell(operations, submission, startedAt, outcome, 'workflow', reason);
      return outcome;
    }
    const until = Math.min(deadline, Date.now() + COUNT_MS);
    const batch = { id: stored.id, conversation, commands: [stored], correlationIds: [correlationId], deadline: until };
    // It is stored, whatever happens now.
    await direct(batch).catch((error: unknown) =>
      log.warn({ err: error, ...batchFacts(batch, 'direct', waitedFor(error) ?? 'postgres') }, 'the increment waits'),
    );
    // The path `auto` goes direct when Temporal does not answer.
    tell(
      operations,
      submission,
      startedAt,
      outcome,
      'direct',
      !isDirect ? 'failed' : reason === 'auto' ? 'breaker' : reason,
    );
    return outcome;
  };
}

/** For those who watch the conversation, if anybody does. */
function tell(
  operations: OperationWatch | undefined,
  { conversation, command }: Submission<IncrementCommand>,
  startedAt: number,
  outcome: Outcome<'increment'>,
  path?: ExecutionPath,
  reason?: WayReason,
): void {
  if (operations?.isWatched(conversation) !== true) return;
  const way = path === undefined || reason === undefined ? {} : { path, reason };
  operations.tell(conversation, operationFact('increment', { operation: command.id, ...way }, startedAt, outcome));
}
