import { AppError } from '../domain/errors.ts';
import { jitter } from './pause.ts';

/** `Retry-After` in an outage, in milliseconds: spread, so that not everybody comes back at once. */
const RETRY_MS = [1000, 5000] as const;

/** The answer on the path `workflow` while Temporal is away for longer than a request may wait. */
export function outageError(): AppError {
  return new AppError('unavailable', 'Temporal does not answer', {}, { retryAfterMs: jitter(...RETRY_MS) });
}
