import { z } from 'zod';

/** One environment variable: how it is read, and what the docs say of it. */
export interface Variable<T = unknown> {
  readonly schema: z.ZodType<T, string | undefined>;
  /** As it would be written; absent = none. */
  readonly default: string | undefined;
  readonly description: string;
}

/** Who applies a batch of operations; the other values of the switch live and die with this list. */
export const CONVERSATION_PATHS = ['workflow', 'direct'] as const;
/** Algorithms of tokens that somebody else signs. */
export const PUBLIC_KEY_ALGORITHMS = ['ES256', 'EdDSA'] as const;
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
/** setTimeout and Temporal timers take at least this much. */
const MAX_DURATION_MS = 365 * UNITS.d;

/** Every variable that Parley reads. `npm start` sets some of them itself. */
export const VARIABLES = {
  PORT: integer(8080, 0, 65_535, 'Port of the API.'),
  HOST: text('0.0.0.0', 'Address that the API and the port of the worker listen on.'),
  ADMIN_PORT: integer(9090, 0, 65_535, 'Port for health and metrics of the worker.'),
  DATABASE_URL: url(['postgres:', 'postgresql:'], 'PostgreSQL 18 or newer. Without it `npm start` runs its own.'),
  DATABASE_POOL_SIZE: integer(20, 1, 500, 'Connections of each process to PostgreSQL.'),
  TEMPORAL_ADDRESS: optional(
    z.string().regex(/^[^\s/:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/, 'must be host:port'),
    'Temporal server, host:port. Without it `npm start` runs its own.',
  ),
  TEMPORAL_NAMESPACE: text('default', 'Temporal namespace.'),
  TEMPORAL_UI_URL: url(['https:', 'http:'], 'Temporal Web UI, for links in answers to operators.'),
  TASK_QUEUE: text('parley', 'Temporal task queue of the workers; the same for the API.'),
  SDK_METRICS_PORT: integer(9464, 0, 65_535, "Port for the worker's Temporal SDK metrics; 0 = off."),
  PARLEY_DATA_DIR: text('.parley', 'Folder for what `npm start` keeps.'),
  POSTGRES_PORT: text('5433', 'Port of the PostgreSQL that `npm start` runs.'),
  TEMPORAL_PORT: text('7233', 'Port of the Temporal server that `npm start` runs.'),
  TEMPORAL_UI_PORT: text('8233', 'Port of the Temporal Web UI that `npm start` runs.'),
  JWT_SECRET: optional(
    z.string().min(32, 'must have at least 32 characters'),
    'Secret of HS256 tokens, for development. Exactly one of the three sources of tokens is needed.',
  ),
  JWT_JWKS_URL: url(['https:', 'http:'], 'JWKS (RFC 7517) with the keys of ES256 or EdDSA tokens.'),
  JWT_PUBLIC_KEY_FILE: optional(z.string(), 'PEM file (SPKI) with the public key of the tokens.'),
  JWT_PUBLIC_KEY_ALG: choice(PUBLIC_KEY_ALGORITHMS, 'ES256', 'Algorithm of the tokens that the key file verifies.'),
  JWT_AUDIENCE: text('parley', '`aud` that every token must carry.'),
  CONVERSATION_PATH: choice(CONVERSATION_PATHS, 'workflow', 'Who applies operations; operators change it at run time.'),
  CONVERSATION_ROLLOUT: integer(
    100,
    0,
    100,
    'Percent of the conversations that take this path; the others take the other.',
  ),
  REQUEST_DEADLINE_MS: integer(10_000, 100, 60_000, 'Every request is answered within this time.'),
  IDLE_TIMEOUT: duration('10m', 1000, 'A conversation without work leaves the workers after this time (30s, 10m, 1h).'),
  EPOCH_WINDOW: integer(2, 0, 4, 'Epochs that a message may lag behind, where the policy states nothing else.'),
  TREE_CHECK_MAX_BYTES: integer(
    1_048_576,
    0,
    8_388_608,
    'Ratchet trees up to this size are checked against the members; 0 = none is, and the sender is trusted.',
  ),
  LANE_MAILBOX_LIMIT: integer(
    10_000,
    1,
    1_000_000,
    'Operations that may wait for one conversation, a quarter of them of one user; more are answered 503.',
  ),
  WORKER_CACHE_SIZE: integer(2000, 1, 100_000, 'Conversations that a worker keeps in memory, at most 0.5 MB each.'),
  WORKER_TASK_SLOTS: integer(30, 2, 1000, 'Workflow tasks that a worker runs at once.'),
  WORKFLOW_STACK_TRACES: choice(['off', 'on'], 'off', 'Stack traces of workflow code, for debugging; they cost time.'),
  RATE_LIMIT_MESSAGES: integer(60_000, 0, 1e9, 'Messages, each of a list, by device, minute and process; 0 = off.'),
  RATE_LIMIT_COMMITS: integer(
    6000,
    0,
    1e9,
    'Commits, adds, removals and GroupInfos, by device, minute and process; 0 = off.',
  ),
  RATE_LIMIT_WRITES: integer(12_000, 0, 1e9, 'All other changing requests, by device, minute and process; 0 = off.'),
  RATE_LIMIT_READS: integer(60_000, 0, 1e9, 'Reading requests, by device, minute and process; 0 = off.'),
  RATE_LIMIT_CLAIMS: integer(
    300,
    0,
    1e9,
    'Key packages that a user may claim, by minute; 0 = off, and all may be held.',
  ),
  RATE_LIMIT_UNAUTHENTICATED: integer(600, 0, 1e9, 'Refused tokens, by client address, minute and process; 0 = off.'),
  STREAM_SLOW_MS: integer(5000, 100, 600_000, 'An event stream whose reader takes nothing for this long is closed.'),
  STREAMS_PER_USER: integer(100, 0, 1e9, 'Event streams that a user may have open, by process; 0 = off.'),
  KEY_PACKAGE_MAX_LIFETIME: duration('off', 60_000, 'Longest lifetime of a key package; `off` = any; 90d is advised.'),
  TRUST_PROXY: integer(0, 0, 10, 'Proxies in front of the API whose X-Forwarded-For is believed.'),
  CONTINUE_AS_NEW_AFTER: integer(
    0,
    0,
    1e9,
    'For tests: a run continues as new after this many operations; 0 = as the server suggests.',
  ),
  SHUTDOWN_GRACE_MS: integer(15_000, 0, 600_000, 'Time for requests in flight after SIGTERM.'),
  LOG_LEVEL: choice(LOG_LEVELS, 'info', `One of ${LOG_LEVELS.join(', ')}.`),
  LOG_SALT: optional(
    z.string().min(16, 'must have at least 16 characters'),
    'Salt of the hashed users in logs; random for each process unless set. Set it to follow a user across processes.',
  ),
} as const;

function variable<T>(schema: z.ZodType<T, string>, standard: string, description: string): Variable<T> {
  return { schema: schema.prefault(standard), default: standard, description };
}

function optional<T>(schema: z.ZodType<T, string>, description: string): Variable<T | undefined> {
  return { schema: schema.optional(), default: undefined, description };
}

function text(standard: string, description: string): Variable<string> {
  return variable(z.string(), standard, description);
}

function integer(standard: number, min: number, max: number, description: string): Variable<number> {
  const message = `must be a whole number from ${min} to ${max}`;
  const schema = z
    .string()
    .regex(/^\d{1,12}$/, message)
    .transform(Number)
    .refine((value) => Number.isNaN(value) || (value >= min && value <= max), message);
  return variable(schema, String(standard), description);
}

function choice<const T extends string>(values: readonly T[], standard: T, description: string): Variable<T> {
  const message = `must be ${values.length === 2 ? values.join(' or ') : `one of ${values.join(', ')}`}`;
  return variable(z.enum(values, message) as unknown as z.ZodType<T, string>, standard, description);
}

function url(protocols: readonly string[], description: string): Variable<string | undefined> {
  const isUrl = (value: string): boolean => URL.canParse(value) && protocols.includes(new URL(value).protocol);
  return optional(z.string().refine(isUrl, `must be a URL that starts with ${protocols.join(' or ')}//`), description);
}

/** Milliseconds; `off` = undefined where that is the default. */
function duration(standard: string, minMs: number, description: string): Variable<number | undefined> {
  const schema = z.string().transform((value, context) => {
    if (value === 'off' && standard === 'off') return undefined;
    const [, number, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(value) ?? [];
    const ms = Number(number) * UNITS[(unit ?? 'ms') as keyof typeof UNITS];
    if (ms >= minMs && ms <= MAX_DURATION_MS) return ms;
    context.addIssue(`must be a duration such as 30s, 10m or 1h, from ${minMs / 1000}s to 365d`);
    return z.NEVER;
  });
  return variable(schema, standard, description);
}
