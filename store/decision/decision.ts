import { PROBLEMS } from '../../domain/errors.ts';
import type { ConversationFacts, Decision, Outcome } from '../../domain/operation.ts';

/**
 * Decisions as the SQL functions return them. Every message of every batch passes through here, so the check is written by
 * hand and copies nothing. Fields that are not known here stay: functions of a newer release may already be installed.
 */

type Shape = 'number' | 'string' | 'boolean' | 'object';

/** What the fields of outcomes hold, in any kind of outcome. */
export const OUTCOME_FIELDS: Readonly<Record<string, Shape>> = {
  status: 'string',
  code: 'string',
  seq: 'number',
  epoch: 'number',
  sha256: 'string',
  at: 'string',
  unread: 'number',
  role: 'string',
  policy: 'object',
  reports: 'number',
  needed: 'number',
  open: 'boolean',
  successor: 'string',
  currentEpoch: 'number',
  submittedEpoch: 'number',
  winner: 'object',
  after: 'number',
  refs: 'object',
  forMs: 'number',
  detail: 'string',
};

/** Codes beside those of the problem catalogue: `RefusalCode` in domain/operation.ts. */
export const INTERNAL_CODES = ['body-missing', 'deferred'] as const;

const CODES: ReadonlySet<string> = new Set([...Object.keys(PROBLEMS), ...INTERNAL_CODES]);

/** @throws TypeError that shows where the value is no decision */
export function parseDecision(value: unknown, operations: number): Decision {
  if (!isRecord(value)) return fail('a decision', value);
  const { outcomes } = value;
  if (!Array.isArray(outcomes) || outcomes.length !== operations) return fail(`${operations} outcomes`, outcomes);
  return { facts: parseFacts(value.facts), outcomes: outcomes.map(parseOutcome) };
}

/** @throws TypeError that shows where the value is no outcome */
export function parseOutcome(value: unknown): Outcome {
  checkOutcome(value);
  return value;
}

function checkOutcome(value: unknown): asserts value is Outcome {
  if (!isRecord(value)) fail('an outcome', value);
  const { status } = value;
  if (status === 'refused') {
    if (typeof value.code !== 'string' || !CODES.has(value.code)) fail('a refusal with a known code', value);
  } else if (status !== 'accepted' && status !== 'duplicate') {
    fail('an outcome with a known status', value);
  }
  for (const field in value) {
    const shape = OUTCOME_FIELDS[field];
    if (shape !== undefined && (typeof value[field] !== shape || value[field] === null)) {
      fail(`an outcome whose ${field} is of type ${shape}`, value);
    }
  }
}

function parseFacts(value: unknown): ConversationFacts {
  if (!isRecord(value)) return fail('facts of a conversation', value);
  const { found, protocol, epoch, lastSeq, memberCount, changed, dueAt } = value;
  if (
    typeof found !== 'boolean' ||
    typeof protocol !== 'string' ||
    typeof epoch !== 'number' ||
    typeof lastSeq !== 'number' ||
    typeof memberCount !== 'number' ||
    (changed !== undefined && changed !== true) ||
    (dueAt !== undefined && typeof dueAt !== 'number')
  ) {
    return fail('facts of a conversation', value);
  }
  return {
    found,
    protocol,
    epoch,
    lastSeq,
    memberCount,
    ...(changed === undefined ? {} : { changed }),
    ...(dueAt === undefined ? {} : { dueAt }),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fail(expected: string, value: unknown): never {
  const shown = value === undefined ? 'undefined' : JSON.stringify(value).slice(0, 300);
  throw new TypeError(`Postgres did not return ${expected}: ${shown}`);
}
