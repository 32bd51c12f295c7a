import { createHash, randomBytes } from 'node:crypto';
import { type DestinationStream, type Logger, pino } from 'pino';

/**
 * Values of these keys are removed from every log line. The code must not log payloads, tokens or user ids; this list
 * is a second safeguard.
 */
const SECRET_KEYS = new Set([
  'authorization',
  'token',
  'secret',
  'password',
  'ciphertext',
  'commit',
  'welcome',
  'groupInfo',
  'keyPackage',
  'body',
  'bytes',
  'epochAuthenticator',
  'idempotencyKey',
  'actor',
  'sender',
  'device',
  'adds',
  'removes',
  'leaves',
]);
/** Deeper levels of a logged object are replaced as a whole. */
const SECRET_DEPTH = 4;

export interface LoggerOptions {
  readonly level: string;
  /** Process name in each line, for example `api` or `worker`. */
  readonly name: string;
  /** @default standard output */
  readonly destination?: DestinationStream;
}

/** Creates a logger that writes JSON lines with RFC 3339 times and level names. */
export function makeLogger(options: LoggerOptions): Logger {
  return pino(
    {
      level: options.level,
      base: { name: options.name, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: (fields) => withoutSecrets(fields, SECRET_DEPTH) },
      serializers: { err: serializeError, error: serializeError },
    },
    options.destination ?? pino.destination({ dest: 1, sync: false }),
  );
}

/**
 * Creates a function that turns a user id into a stable pseudonym for logs: `u:` and 16 hex digits of a salted sha256.
 */
export function makeUserHash(salt: string = randomBytes(16).toString('hex')): (userId: string) => string {
  return (userId) => `u:${createHash('sha256').update(salt).update('\0').update(userId).digest('hex').slice(0, 16)}`;
}

/**
 * Name, message, code and stack of an error and its causes. Other fields are left out: those of a database error may
 * contain stored values.
 */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const safe = isDatabaseError(error) ? withoutValues(error) : error;
  return {
    type: error.name,
    message: safe.message,
    ...('code' in error && (typeof error.code === 'string' || typeof error.code === 'number')
      ? { code: error.code }
      : {}),
    stack: safe.stack,
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
  };
}

/** An error of PostgreSQL, with the fields of its protocol ("Error and Notice Message Fields") that `pg` provides. */
interface DatabaseError extends Error {
  readonly severity: string;
  readonly [name: string]: unknown;
}

/** Fields with names from our schema. These names may stay in a message. */
const NAME_FIELDS = ['schema', 'table', 'column', 'dataType', 'constraint'] as const;

function isDatabaseError(error: Error): error is DatabaseError {
  return 'severity' in error && typeof error.severity === 'string';
}

/**
 * Removes values from the message of a database error. PostgreSQL repeats a wrong value in quotes or as bytes, and it
 * may come from a request.
 */
function withoutValues(error: DatabaseError): { readonly message: string; readonly stack: string | undefined } {
  const names = new Set(NAME_FIELDS.map((field) => error[field]));
  const message = error.message
    .replaceAll(/"([^"]*)"/g, (quoted, value: string) => (names.has(value) ? quoted : '"…"'))
    .replaceAll(/(?:\b0x[0-9a-f]{2}\b ?)+/gi, '…');
  // The stack starts with the message.
  return { message, stack: error.stack?.split(error.message).join(message) };
}

/**
 * Removes secrets from log fields. It copies only objects that change: pino's own redaction copies every line in 30 µs.
 */
function withoutSecrets(fields: Record<string, unknown>, depth: number): Record<string, unknown> {
  for (const key in fields) {
    if (cleanField(key, fields[key], depth) === fields[key]) continue;
    // The names may be data: an assignment to `__proto__` would set the prototype of the copy.
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, cleanField(name, value, depth)]));
  }
  return fields;
}

function cleanField(key: string, value: unknown, depth: number): unknown {
  return SECRET_KEYS.has(key) ? '[redacted]' : cleanValue(value, depth);
}

function cleanValue(value: unknown, depth: number): unknown {
  // `serializeError` handles errors.
  if (typeof value !== 'object' || value === null || value instanceof Error) return value;
  if (depth === 0) return '[too deep]';
  if (Array.isArray(value)) return value.some(isObject) ? value.map((one) => cleanValue(one, depth - 1)) : value;
  return withoutSecrets(value as Record<string, unknown>, depth - 1);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
