import type { CommandKind } from './command.ts';
import { PROBLEMS, type ProblemCode } from './errors.ts';
import type { Policy } from './policy.ts';

/** Where an accepted entry stands in the log. */
export interface LogPosition {
  readonly seq: number;
  /** Message: the frame's epoch. Commit: the new epoch. Leave: the current epoch. */
  readonly epoch: number;
  /**
   * Value of the chain over the log up to this entry, 32 bytes in base64. Absent where the chain has none: of a leave, of an entry that
   * is older than the chain, and in what processes of older releases answer.
   */
  readonly chain?: string;
}

/** What a commit is answered. An add that changes nothing is no entry: it has no hash and no time. */
export interface CommitPosition extends LogPosition {
  /** Lower-case hex over the commit. */
  readonly sha256?: string;
  /** RFC 3339. */
  readonly at?: string;
}

/** What a report is answered. */
export interface ReportCount {
  /** Votes: members of the electorate whose reports count now. */
  readonly reports: number;
  /** Votes that open a reset. */
  readonly needed: number;
  /** Members may reset the conversation. */
  readonly open: boolean;
}

/** What an accepted command of each kind is answered. */
export interface AnswerOf {
  readonly message: LogPosition;
  readonly commit: CommitPosition;
  readonly 'group-info': { readonly epoch: number };
  readonly leave: LogPosition;
  readonly 'join-request': LogPosition;
  readonly read: { readonly unread: number };
  readonly increment: object;
  readonly role: { readonly role: string };
  readonly policy: { readonly policy: Policy };
  readonly bar: { readonly user: string; readonly barred: boolean };
  readonly report: ReportCount;
  readonly reset: { readonly successor: string };
  readonly delete: object;
}

/** `accepted`: decided now. `duplicate`: decided earlier, with the original answer. */
export type Accepted<K extends CommandKind = CommandKind> = {
  readonly [One in K]: { readonly status: 'accepted' | 'duplicate' } & AnswerOf[One];
}[K];

/**
 * Codes with which a command is refused. Two are internal. `body-missing`: the staged row is gone (an earlier attempt was
 * decided, or a sweep took it), and the command is decided again with its bytes inline. `deferred`: the reservation of
 * another user holds for `forMs`; the conversation queue has the commit decided again after that time.
 */
export const INTERNAL_REFUSALS = ['body-missing', 'deferred'] as const;
export type RefusalCode = ProblemCode | (typeof INTERNAL_REFUSALS)[number];

/** Nothing was stored. */
export interface Refused {
  readonly status: 'refused';
  readonly code: RefusalCode;
  readonly currentEpoch?: number;
  readonly submittedEpoch?: number;
  readonly winner?: { readonly seq: number; readonly sha256: string };
  readonly after?: number;
  readonly seq?: number;
  /** `key-package-stale`: KeyPackageRefs, base64. */
  readonly refs?: readonly string[];
  /** `removal-pending`: seqs of proposals of the service. */
  readonly proposals?: readonly number[];
  /** `removal-pending`: whose leaves the commit must remove. */
  readonly users?: readonly string[];
  /** `log-restarted`: last and oldest entry that the sender may read. */
  readonly lastSeq?: number;
  readonly oldestSeq?: number;
  /** `superseded`. */
  readonly successor?: string;
  /** `deferred`, `rate-limited`: milliseconds. Absent = time alone does not help. */
  readonly forMs?: number;
  /** One sentence that says which of the code's reasons applies. */
  readonly detail?: string;
}

export type Outcome<K extends CommandKind = CommandKind> = Accepted<K> | Refused;

type JsonType = 'number' | 'string' | 'boolean' | 'object';

/** Every field of an outcome, of whatever kind, with its type in JSON. */
export const OUTCOME_FIELDS = {
  status: 'string',
  code: 'string',
  seq: 'number',
  epoch: 'number',
  sha256: 'string',
  chain: 'string',
  at: 'string',
  unread: 'number',
  role: 'string',
  policy: 'object',
  user: 'string',
  barred: 'boolean',
  reports: 'number',
  needed: 'number',
  open: 'boolean',
  successor: 'string',
  currentEpoch: 'number',
  submittedEpoch: 'number',
  winner: 'object',
  after: 'number',
  lastSeq: 'number',
  oldestSeq: 'number',
  refs: 'object',
  proposals: 'object',
  users: 'object',
  forMs: 'number',
  detail: 'string',
} as const satisfies Readonly<Record<string, JsonType>>;
const TYPES: ReadonlyMap<string, JsonType> = new Map(Object.entries(OUTCOME_FIELDS));

type RequiredField<T> = { [F in keyof T]-?: object extends Pick<T, F> ? never : F }[keyof T];
/** Fields that the answer of each kind always has. The compiler refuses a list with a wrong field. */
const REQUIRED: { readonly [K in CommandKind]: readonly RequiredField<AnswerOf[K]>[] } = {
  message: ['seq', 'epoch'],
  commit: ['seq', 'epoch'],
  'group-info': ['epoch'],
  leave: ['seq', 'epoch'],
  'join-request': ['seq', 'epoch'],
  read: ['unread'],
  increment: [],
  role: ['role'],
  policy: ['policy'],
  bar: ['user', 'barred'],
  report: ['reports', 'needed', 'open'],
  reset: ['successor'],
  delete: [],
};

const CODES: ReadonlySet<unknown> = new Set([...Object.keys(PROBLEMS), ...INTERNAL_REFUSALS]);

/**
 * Checks that a value from outside (the database, an update's result) is the outcome of a command of this kind. Unknown
 * fields stay: the other side may be of a later release. Every command of every batch passes here, so nothing is copied.
 * @throws TypeError that names the field
 */
export function parseOutcome<K extends CommandKind>(kind: K, value: unknown): Outcome<K> {
  checkOutcome(kind, value);
  return value as Outcome<K>;
}

/** The same, for a command at hand. */
export function outcomeFor<C extends { readonly kind: CommandKind }>(command: C, value: unknown): Outcome<C['kind']> {
  const kind: C['kind'] = command.kind;
  return parseOutcome(kind, value);
}

function checkOutcome(kind: CommandKind, value: unknown): void {
  if (!isRecord(value)) throw new TypeError(`The outcome of ${kind} is no object`);
  const { status, code } = value;
  for (const field in value) {
    const type = TYPES.get(field);
    const isRight = type === undefined || (typeof value[field] === type && value[field] !== null);
    if (!isRight) throw new TypeError(`In the outcome of ${kind} ${field} is not of type ${type}`);
  }
  if (status === 'refused') {
    if (!CODES.has(code)) throw new TypeError(`The refusal of ${kind} has no known code`);
  } else if (status === 'accepted' || status === 'duplicate') {
    for (const field of REQUIRED[kind]) {
      if (!Object.hasOwn(value, field)) throw new TypeError(`The answer of ${kind} has no ${field}`);
    }
  } else {
    throw new TypeError(`The outcome of ${kind} has no known status`);
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
