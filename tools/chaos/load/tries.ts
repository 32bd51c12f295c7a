import { ProblemError } from '../../../client/index.ts';
import { spend } from '../../harness/wait-until.ts';

/** What is measured apart. */
export type Sort = 'message' | 'commit' | 'other';

/** One request of a client. */
export interface Try {
  readonly sort: Sort;
  readonly what: string;
  readonly conversation: string;
  /** By `performance.now()`. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** Why it failed; `undefined` = it was answered. `broken` = the connection broke, `silent` = the client gave up waiting. */
  readonly failed?: string;
  /** Status of a failed one that was answered. */
  readonly status?: number;
}

export interface Operation<T> {
  readonly sort: Sort;
  /** For messages. */
  readonly what: string;
  readonly conversation: string;
  readonly run: () => Promise<T>;
  /** True: the service refused the operation by its rules, and that is an answer. */
  readonly isRefusal?: (problem: ProblemError) => boolean;
  /** False: one try only. @default true */
  readonly isRepeated?: boolean;
}

export interface Tries {
  readonly all: readonly Try[];
  /** Operations that got no answer for too long, or one that no rule explains. */
  readonly givenUp: readonly string[];
  /**
   * Tries as the client library does: 503 and broken connections again, with the same ids and pauses that grow.
   * @returns the answer, the refusal, or `undefined` when it was given up
   */
  readonly perform: <T>(operation: Operation<T>) => Promise<T | ProblemError | undefined>;
  /** Every operation that fails from now on is given up. */
  readonly end: () => void;
}

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 2000;

/** @param patienceMs an operation without an answer for this long is given up */
export function createTries(patienceMs: number): Tries {
  const all: Try[] = [];
  const givenUp: string[] = [];
  let isOver = false;

  const perform = async <T>(operation: Operation<T>): Promise<T | ProblemError | undefined> => {
    const { sort, what, conversation, run, isRefusal, isRepeated = true } = operation;
    const giveUpAt = performance.now() + patienceMs;
    for (let attempt = 0; ; attempt++) {
      const startedAt = performance.now();
      const record = (failure: Pick<Try, 'failed' | 'status'> = {}): void => {
        all.push({ sort, what, conversation, startedAt, endedAt: performance.now(), ...failure });
      };
      try {
        const answer = await run();
        record();
        return answer;
      } catch (error) {
        const problem = error instanceof ProblemError ? error : undefined;
        if (problem !== undefined && isRefusal?.(problem) === true) {
          record();
          return problem;
        }
        // Who commits too often waits: a rule, and no failure.
        const isTurn = problem?.status === 429 && problem.isRetryable;
        if (!isTurn) record({ failed: codeOf(error), ...(problem === undefined ? {} : { status: problem.status }) });
        if (!isRepeated) return undefined;
        const isFinal = problem !== undefined && !problem.isRetryable && problem.status < 500;
        if (isFinal || isOver || performance.now() > giveUpAt) {
          givenUp.push(`${what}: ${reasonOf(error)}`);
          return undefined;
        }
        const backoff = Math.min(FIRST_PAUSE_MS * 2 ** attempt, MAX_PAUSE_MS) * (0.5 + Math.random() / 2);
        await spend(problem?.retryAfterMs ?? backoff);
      }
    }
  };
  return { all, givenUp, perform, end: () => (isOver = true) };
}

function codeOf(error: unknown): string {
  if (error instanceof ProblemError) return `${error.status} ${error.code}`;
  return error instanceof DOMException && error.name === 'TimeoutError' ? 'silent' : 'broken';
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
