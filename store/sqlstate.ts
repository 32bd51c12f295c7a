/**
 * Database errors after which a retry may succeed. This is the only table of them. All other errors are defects: a retry
 * would fail in the same way. A two-character code is a class. Source: PostgreSQL documentation, appendix A.
 */
const RETRYABLE: readonly { readonly code: string; readonly meaning: string }[] = [
  { code: '08', meaning: 'connection exceptions' },
  { code: '26000', meaning: 'a pooler lost the prepared statement: it changed its mode, or its session' },
  { code: '42P05', meaning: 'the same: another connection prepared it' },
  { code: '3D000', meaning: 'no such database: one that is being restored is not there for a while' },
  { code: '40', meaning: 'transaction rollback: serialization failure, deadlock' },
  { code: '53', meaning: 'insufficient resources: too many connections, disk full, out of memory' },
  { code: '55000', meaning: 'the database takes no connections now: it is being restored or copied' },
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
// `pg` reports its own time limits, and broken connections, without a code.
const WITHOUT_CODE = /timeout|timed out|Connection terminated|not queryable|Client was closed/i;

/** True: the same statement, unchanged, may succeed later. */
export function isRetryable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof AggregateError) return error.errors.every(isRetryable);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (code === undefined) return WITHOUT_CODE.test(error.message);
  return NETWORK.has(code) || RETRYABLE.some((row) => code.startsWith(row.code));
}

/** Classes that say something of the connection or of the whole server. */
const OF_SERVER = ['08', '25', '26000', '3D', '42P05', '53', '55000', '57P', '58'];

/** True: the server answers, and refused this statement with all that it did. Other statements may be taken. */
export function isOfStatement(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !OF_SERVER.some((start) => code.startsWith(start));
}

/** True: the role of the service may not do this. */
export function isForbidden(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '42501';
}
