import * as limits from '../../domain/limits.ts';

/** Numbers of domain/limits.ts that SQL functions use, each as a function without arguments. */
const NUMBERS = [
  'MAX_SAFE_EPOCH',
  'MAX_PROPOSALS_PER_EPOCH',
  'MIN_MESSAGE_RUN',
  'LOST_COMMITS_FOR_RESERVATION',
  'ACCEPTED_COMMITS_FOR_BACKOFF',
  'COMMIT_RETENTION_FACTOR',
  'DEFAULT_VOTE_HOURS',
  'DEFAULT_REMOVAL_HOURS',
  'MAX_BARS',
  'MAX_JOIN_REQUESTS',
  'CLAIMS_LOOKED_AT',
  'MAX_LEFT_OUT',
  'MAX_AUDITS',
  'MAX_MEMBER_EVENTS',
  'MAX_WELCOMES_PER_INVITER',
  'MAX_WELCOME_BYTES_PER_INVITER',
  'MAX_INBOX_WELCOMES',
  'MAX_INBOX_BYTES',
  'MAX_UNKNOWN_INVITATIONS',
  'MAX_INVITATION_LOCKS',
  'MAX_INBOX_LOOK_UPS',
  'MANY_WELCOMES',
  'MAX_CONSENT_REQUESTS',
  'MAX_CONSENT_REQUESTS_PER_ASKER',
  'DEFAULT_ABANDONED_DAYS',
  'MAX_PUSH_TARGETS',
  'PUSH_REST',
  'MAX_PUSH_BATCH',
] as const;

/** Times in milliseconds, which become intervals; `_MS` falls away from their names. */
const TIMES = [
  'MAX_RESERVATION_MS',
  'COMMIT_CONTENTION_MS',
  'RESERVATION_PAUSE_MS',
  'JOIN_REQUEST_RETRY_MS',
  'COMMIT_BACKOFF_MS',
  'MAX_COMMIT_BACKOFF_MS',
  'WELCOME_LIFETIME_MS',
  'CLAIM_LIFETIME_MS',
  'CLAIM_RATE_MS',
  'OUTSIDER_TRIAL_MS',
  'AUDIT_WINDOW_MS',
  'COMPUTED_TREE_LIFETIME_MS',
  'CUT_OFF_GRACE_MS',
  'REPORT_LIFETIME_MS',
  'FORMER_MEMBER_LIFETIME_MS',
  'DEVICE_ACTIVITY_MS',
  'INVITATION_PERIOD_MS',
  'WELCOME_QUOTA_RETRY_MS',
  'CONSENT_REQUEST_LIFETIME_MS',
  'PUSH_HOLD_MS',
  'PUSH_PAUSE_MS',
  'PUSH_INTERVAL_MS',
  'PUSH_BURST_MS',
  'PUSH_LEASE_MS',
  'PUSH_LIFETIME_MS',
] as const;

/** Names of the SQL functions, for the test that looks for literals. */
export const SQL_LIMITS: readonly string[] = [...NUMBERS, ...TIMES].map(nameOf);

/** Text of store/limits.sql. The server replaces calls of such functions by their value when it plans a statement. */
export function limitsSql(): string {
  const functions = [
    ...NUMBERS.map((name) => define(name, limits[name] > 2 ** 31 ? 'bigint' : 'int', String(limits[name]))),
    ...TIMES.map((name) => define(name, 'interval', interval(limits[name]))),
  ];
  return `-- Made from domain/limits.ts by \`npm run sql-files\`: change the numbers there.\n\n${functions.join('')}`;
}

function define(name: string, type: string, value: string): string {
  return `create or replace function ${nameOf(name)}() returns ${type} language sql immutable as $$ select ${value} $$;\n`;
}

function nameOf(name: string): string {
  return name.toLowerCase().replace(/_ms$/, '');
}

/** Several days are calendar days; a single one is 24 hours. */
function interval(ms: number): string {
  const units = [
    ['days', 86_400_000],
    ['hours', 3_600_000],
    ['minutes', 60_000],
    ['seconds', 1000],
  ] as const;
  for (const [unit, length] of units) {
    if (ms % length === 0 && (unit !== 'days' || ms > length)) return `interval '${ms / length} ${unit}'`;
  }
  return `interval '${ms} milliseconds'`;
}
