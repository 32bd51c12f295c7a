/**
 * Which database errors may go away by themselves. The one table for it: anything else is a defect, and trying again
 * would only repeat it. Classes and codes: PostgreSQL documentation, appendix A.
 */
const RETRYABLE: readonly { readonly code: string; readonly meaning: string }[] = [
  { code: '08', meaning: 'connection exceptions' },
  { code: '40', meaning: 'rolled back: serialization failure, deadlock' },
  { code: '53', meaning: 'insufficient resources: too many connections, disk full, out of memory' },
  { code: '55P03', meaning: 'lock not available within lock_timeout' },
  { code: '57014', meaning: 'cancelled by statement_timeout' },
  { code: '57P01', meaning: 'admin shutdown' },
  { code: '57P02', meaning: 'crash shutdown' },
  { code: '57P03', meaning: 'cannot connect now: starting up or in recovery' },
  { code: '57P04', meaning: 'database dropped' },
  { code: '57P05', meaning: 'idle session timeout' },
  { code: '25006', meaning: 'read-only: the server became a standby in a failover' },
  { code: '25P03', meaning: 'idle in transaction timeout' },
  { code: '58', meaning: 'system error: I/O' },
];

const NETWORK = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH']);
// `pg` reports its own time limits and broken connections without a code.
const WITHOUT_CODE = /timeout|timed out|Connection terminated|not queryable|Client was closed/i;

/** True when the same statement may succeed later, unchanged. */
export function isRetryable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof AggregateError) return error.errors.every(isRetryable);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (code === undefined) return WITHOUT_CODE.test(error.message);
  return NETWORK.has(code) || RETRYABLE.some((row) => code.startsWith(row.code));
}
