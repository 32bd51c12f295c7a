import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted, Duplicate, Operation, Outcome, Refused } from '../../domain/operation.ts';
import { readEarlierAnswer } from '../../store/decision/earlier-answer.ts';
import type { Caller } from '../http/bearer-tokens.ts';
import type { DraftBytes, Submitter } from '../../dispatch/command.ts';
import type { KnownConversations } from './known-conversations.ts';

/** What of a request goes with its operations. */
export interface Origin {
  readonly caller: Caller;
  readonly deadline: number;
  readonly requestId: string;
}

export interface Operate {
  /** Has an operation decided. @throws AppError with the code and the facts of a refusal */
  readonly apply: (
    conversation: ConversationId,
    operation: Operation,
    origin: Origin,
    bytes?: DraftBytes,
  ) => Promise<Accepted | Duplicate>;
  /**
   * What becomes of an operation that is refused before it is decided, in the order of checks: those who may not see the
   * conversation get 404, an earlier answer is repeated, former members hear that they were removed; else it is refused.
   * @throws AppError `refusal`, unless something comes before it
   */
  readonly refuse: (
    conversation: ConversationId,
    operation: Operation | undefined,
    origin: Origin,
    refusal: unknown,
  ) => Promise<Accepted | Duplicate>;
}

export interface OperateDeps {
  readonly submitter: Submitter;
  readonly known: KnownConversations;
  readonly pool: pg.Pool;
}

/** The way of single operations from a route to their decision. */
export function makeOperate({ submitter, known, pool }: OperateDeps): Operate {
  return {
    apply: async (conversation, operation, { caller, deadline, requestId }, bytes) => {
      const draft = { conversation, user: caller.user, operation, bytes, deadline, requestId };
      return accepted(await submitter.submit(draft));
    },
    refuse: async (conversation, operation, { caller }, refusal) => {
      if (!(refusal instanceof AppError)) throw refusal;
      if (operation?.kind === 'commit' && operation.external === true) {
        return refuseExternal(pool, conversation, operation, refusal);
      }
      const { epoch, leftSeq } = await known.view(conversation, caller.user);
      if (operation !== undefined) {
        const { outcome } = await readEarlierAnswer(pool, conversation, operation);
        if (outcome !== undefined) return accepted(outcome);
      }
      if (leftSeq !== null && refusal.status !== 400) throw new AppError('removed', undefined, { seq: leftSeq });
      if (refusal.code !== 'epoch-ahead') throw refusal;
      throw new AppError('epoch-ahead', undefined, { currentEpoch: epoch, ...refusal.details });
    },
  };
}

/** The database says who may join. Users who may not join do not learn why their commit is refused. */
async function refuseExternal(
  pool: pg.Pool,
  conversation: ConversationId,
  operation: Operation,
  refusal: AppError,
): Promise<Accepted | Duplicate> {
  const { epoch, outcome } = await readEarlierAnswer(pool, conversation, operation);
  if (outcome !== undefined) return accepted(outcome);
  if (refusal.code !== 'epoch-ahead') throw refusal;
  throw new AppError('epoch-ahead', undefined, { currentEpoch: epoch, ...refusal.details });
}

/** The outcome, unless it is a refusal. @throws AppError */
export function accepted(outcome: Outcome): Accepted | Duplicate {
  if (outcome.status === 'refused') throw refusalError(outcome);
  return outcome;
}

/** A refusal as the problem that a client gets. */
export function refusalError({ status: _status, code, detail, forMs, ...details }: Refused): AppError {
  // Lanes keep these two to themselves; a client could only try again.
  if (code === 'body-missing' || code === 'deferred') return new AppError('unavailable');
  // Without a time another commit must come first.
  return new AppError(code, detail, details, code === 'rate-limited' ? { retryAfterMs: forMs ?? null } : {});
}

/** Position of an accepted operation that has one. */
export function positionOf({ seq, epoch }: Accepted | Duplicate): { seq: number; epoch: number } {
  if (seq === undefined || epoch === undefined) throw new TypeError('an accepted entry has no position');
  return { seq, epoch };
}
