import { WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { AppError } from '../domain/errors.ts';
import { ConversationLockedError, LOCKED } from '../store/decision/conversation-locked.ts';

/**
 * The answer to a command whose conversation stayed locked by somebody else, for example by an operator's session. It is
 * tried for some seconds; then a new try is left to the client.
 * @param error what a decision in this process threw, or an update
 * @returns `undefined` when the error has another reason
 */
export function lockedProblem(error: unknown): AppError | undefined {
  return error instanceof ConversationLockedError || isFailedUpdate(error)
    ? new AppError('unavailable', LOCKED, {}, { cause: error })
    : undefined;
}

/** The workflow passes on what its activity said. */
function isFailedUpdate(error: unknown): boolean {
  if (!(error instanceof WorkflowUpdateFailedError) || !(error.cause instanceof ApplicationFailure)) return false;
  return error.cause.details?.some((detail) => typeof detail === 'string' && detail.includes(LOCKED)) === true;
}
