import { createHash } from 'node:crypto';

// Ids of spans are derived and sent to nobody: each process finds those of the others by itself. So nothing of a trace travels
// through Temporal, whose histories would keep it.

/**
 * The trace of a request: its correlation id without dashes. So the id of a trace finds the log lines of its request.
 * @param correlationId a UUID; any other text is hashed
 */
export function traceIdOf(correlationId: string): string {
  const digits = correlationId.replaceAll('-', '').toLowerCase();
  return /^[0-9a-f]{32}$/.test(digits) ? digits : hash(correlationId, 32);
}

/** The span of a step of a request: 16 hex digits. */
export function spanIdOf(correlationId: string, step: string): string {
  return hash(`${correlationId}/${step}`, 16);
}

function hash(text: string, digits: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, digits);
}
