import type { Command, IncrementCommand } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { ConversationWorkflows } from './conversation-workflows.ts';
import type { ExecutionPath, Executor } from './executor.ts';
import { jitter, pause } from './pause.ts';
import type { Submission } from './submission.ts';
import { classifyUpdateError } from './temporal-errors.ts';

/**
 * Takes an explicit unread increment. When it returns, the increment is durable: in Temporal (a signal, applied with the
 * next batch or within a second), or already decided on the direct path.
 */
export type SubmitIncrement = (submission: Submission<IncrementCommand>) => Promise<void>;

export function makeSubmitIncrement(deps: {
  readonly workflows: Pick<ConversationWorkflows, 'increment'>;
  readonly pathOf: (conversation: string) => ExecutionPath;
  readonly direct: Executor<Command>;
}): SubmitIncrement {
  // The command has no notAfter: an increment that was answered 202 is applied, however late.
  return async ({ conversation, command, deadline, correlationId }) => {
    if (deps.pathOf(conversation) === 'direct') {
      const correlationIds = [correlationId];
      await deps.direct({ id: command.id, conversation, commands: [command], correlationIds, deadline });
      return;
    }
    for (;;) {
      try {
        await deps.workflows.increment(conversation, command, deadline);
        return;
      } catch (error) {
        if (classifyUpdateError(error) === 'defect' || Date.now() >= deadline) {
          throw new AppError('unavailable', 'The increment could not be stored', {}, { cause: error });
        }
        await pause(jitter(20, 200), deadline);
      }
    }
  };
}
