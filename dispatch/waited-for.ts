import { ServiceError, WorkflowUpdateRPCTimeoutOrCancelledError } from '@temporalio/client';
import { AppError } from '../domain/errors.ts';
import type { WaitedFor } from '../process/progress.ts';
import { isRetryable } from '../store/sqlstate.ts';
import { lockedProblem } from './conversation-lock.ts';

/** What `pg` says when no connection became free in time. */
const NO_CONNECTION = /timeout exceeded when trying to connect/i;
/** SQLSTATE of `lock_not_available`. */
const LOCK_NOT_AVAILABLE = '55P03';

/** What an error says of what was waited for. @returns `undefined` when it does not tell, for example a deadline */
export function waitedFor(error: unknown): WaitedFor | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (lockedProblem(cause) !== undefined) return 'postgres-lock';
    if ('code' in cause && cause.code === LOCK_NOT_AVAILABLE) return 'postgres-lock';
    if (NO_CONNECTION.test(cause.message)) return 'pool';
    if (cause instanceof ServiceError || cause instanceof WorkflowUpdateRPCTimeoutOrCancelledError) return 'temporal';
    if (!(cause instanceof AppError) && isRetryable(cause)) return 'postgres';
  }
  return undefined;
}
