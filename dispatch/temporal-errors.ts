import { status } from '@grpc/grpc-js';
import {
  ServiceError,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { FAILURE } from '../workflows/conversation/messages.ts';

/**
 * What the failure of an update means for its batch, and how to send the batch again.
 * - `gone`: the run ended or is ending, perhaps after it decided. Send with a new update id, and start a run.
 * - `infra`: Postgres did not answer. Send with a new update id, because Temporal keeps a failed outcome by its update id.
 * - `unreachable`: the outcome is unknown. Send the same update id and the same content.
 * - `busy`: the update was not delivered. Send the same update id and the same content.
 * - `overloaded`: the workflow refused the update because its mailbox is full.
 * - `defect`: anything else; a retry does not help.
 */
export type UpdateFailure = 'gone' | 'infra' | 'unreachable' | 'busy' | 'overloaded' | 'defect';

/** Failure type of an accepted update whose run closed before the update completed. */
const ACCEPTED_BUT_CLOSED = 'AcceptedUpdateCompletedWorkflow';

/** Meaning of each gRPC status code; a code that is missing here is a defect. */
const FAILURES: Readonly<Record<number, UpdateFailure | undefined>> = {
  [status.CANCELLED]: 'unreachable',
  [status.UNKNOWN]: 'unreachable',
  [status.DEADLINE_EXCEEDED]: 'unreachable',
  // The run ended while an update-with-start was on its way; the client returns this code unchanged.
  [status.NOT_FOUND]: 'gone',
  // Another start of the same workflow came first.
  [status.ALREADY_EXISTS]: 'gone',
  // Too many updates are in flight, or the workflow is closing.
  [status.RESOURCE_EXHAUSTED]: 'busy',
  // Several workflow tasks in a row failed or timed out; the run takes updates again after one task succeeds.
  [status.FAILED_PRECONDITION]: 'busy',
  [status.ABORTED]: 'busy',
  // A stream broke.
  [status.INTERNAL]: 'unreachable',
  [status.UNAVAILABLE]: 'unreachable',
};

/** Classifies what `executeUpdate` or `executeUpdateWithStart` threw. */
export function classifyUpdateError(error: unknown): UpdateFailure {
  if (error instanceof WorkflowNotFoundError || error instanceof WorkflowExecutionAlreadyStartedError) return 'gone';
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) return 'unreachable';
  if (error instanceof WorkflowUpdateFailedError) {
    const type = error.cause instanceof ApplicationFailure ? error.cause.type : undefined;
    if (type === FAILURE.closing || type === ACCEPTED_BUT_CLOSED) return 'gone';
    if (type === FAILURE.infra) return 'infra';
    if (type === FAILURE.overloaded) return 'overloaded';
    return 'defect';
  }
  const code = grpcCode(error instanceof ServiceError ? error.cause : error);
  return (code === undefined ? undefined : FAILURES[code]) ?? 'defect';
}

/** The server refuses the update because the workflow tasks of its run fail again and again. */
export function isTaskFailing(error: unknown): boolean {
  return grpcCode(error instanceof ServiceError ? error.cause : error) === status.FAILED_PRECONDITION;
}

/** The server could not be reached at all. The client has tried some times by then (`process/temporal-client.ts`). */
export function isUnavailable(error: unknown): boolean {
  return grpcCode(error instanceof ServiceError ? error.cause : error) === status.UNAVAILABLE;
}

function grpcCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'number' ? error.code : undefined;
}
