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
 * What an update's failure means for its batch (design §5).
 * gone: the run ended or is ending, possibly after deciding: a new update id, with start.
 * infra: Postgres was away; Temporal keeps failed outcomes by update id: a new update id.
 * unreachable: outcome unknown: the same update id and content. busy: not delivered: the same.
 */
export type UpdateFailure = 'gone' | 'infra' | 'unreachable' | 'busy' | 'overloaded' | 'defect';

/** Failure type of an accepted update whose run was closed under it. */
const ACCEPTED_BUT_CLOSED = 'AcceptedUpdateCompletedWorkflow';

/** gRPC status codes, as in the gRPC specification. */
const GRPC: Readonly<Record<number, UpdateFailure>> = {
  1: 'unreachable', // CANCELLED
  2: 'unreachable', // UNKNOWN
  4: 'unreachable', // DEADLINE_EXCEEDED
  5: 'gone', // NOT_FOUND: the run of an update-with-start was closed under it, which the client passes on as it is
  6: 'gone', // ALREADY_EXISTS: lost the start to another one
  8: 'busy', // RESOURCE_EXHAUSTED: too many in flight, or the workflow is closing
  9: 'busy', // FAILED_PRECONDITION: tasks of the run timed out or failed several times in a row; it takes updates again after one succeeds
  10: 'busy', // ABORTED
  13: 'unreachable', // INTERNAL: a stream broke
  14: 'unreachable', // UNAVAILABLE
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
  if (error instanceof ServiceError) return GRPC[grpcCode(error.cause) ?? -1] ?? 'defect';
  return GRPC[grpcCode(error) ?? -1] ?? 'defect';
}

function grpcCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'number' ? error.code : undefined;
}
