import type { JobOwner } from '../../compute/jobs.ts';
import type pg from 'pg';
import type { Command } from '../../domain/command.ts';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted, Refused } from '../../domain/outcome.ts';
import type { Submitter } from '../../dispatch/submission.ts';
import type { ConversationView } from '../../store/conversation/conversations.ts';
import { readEarlierAnswer } from '../../store/decision/earlier-answer.ts';
import type { Caller } from '../http/caller.ts';
import type { ConversationCache } from './conversation-cache.ts';
import { tellingUsedEntry } from './used-id.ts';

/** Request context attached to each command. */
export interface Origin {
  readonly caller: Caller;
  /** Milliseconds since 1970. */
  readonly deadline: number;
  /** The service's own id of the request. */
  readonly correlationId: string;
}

/** For whom the jobs of a request run. */
export function ownerOf({ caller, deadline }: Pick<Origin, 'caller' | 'deadline'>): JobOwner {
  return { user: caller.user, deadline };
}

/** The way of single commands from a route to their decision. */
export interface Operations {
  /** Has a command decided. @throws AppError with the code and the facts of a refusal */
  readonly decide: <C extends Command>(
    conversation: ConversationId,
    command: C,
    origin: Origin,
  ) => Promise<Accepted<C['kind']>>;
  /**
   * Answers a command that a check before the decision refuses, in the order of checks: users who may not see the
   * conversation get 404, an earlier answer is repeated, former members hear that they were removed. Otherwise the command
   * is refused.
   * @param command `undefined` = its bytes are not well formed, so no earlier answer can be looked up
   * @param view gives the conversation as the caller sees it: several commands of one request look once
   * @throws AppError `refusal`, unless another answer comes first
   */
  readonly answerOrRefuse: <C extends Command>(
    conversation: ConversationId,
    command: C | undefined,
    origin: Origin,
    refusal: unknown,
    view?: () => Promise<ConversationView>,
  ) => Promise<Accepted<C['kind']>>;
}

export interface OperationsDeps {
  readonly submitter: Submitter;
  readonly conversations: ConversationCache;
  readonly pool: pg.Pool;
}

export function makeOperations({ submitter, conversations, pool }: OperationsDeps): Operations {
  return {
    decide: async (conversation, command, { deadline, correlationId }) => {
      const outcome = await submitter.submit({ conversation, command, deadline, correlationId });
      return tellingUsedEntry(pool, conversation, command, () => accepted(outcome));
    },
    answerOrRefuse: async (conversation, command, { caller }, refusal, view) => {
      if (!(refusal instanceof AppError)) throw refusal;
      if (command?.kind === 'join-request' || (command?.kind === 'commit' && command.external === true)) {
        return answerOrRefuseExternal(pool, conversation, command, refusal);
      }
      const { epoch, leftSeq } = await (view?.() ?? conversations.view(conversation, caller.user));
      if (command !== undefined) {
        const { outcome } = await readEarlierAnswer(pool, conversation, command);
        if (outcome !== undefined) return tellingUsedEntry(pool, conversation, command, () => accepted(outcome));
      }
      if (leftSeq !== null && refusal.status !== 400) throw new AppError('removed', undefined, { seq: leftSeq });
      throw withCurrentEpoch(refusal, epoch);
    },
  };
}

/** The database says who may join. A user who may not join must not learn why the commit is refused. */
async function answerOrRefuseExternal<C extends Command>(
  pool: pg.Pool,
  conversation: ConversationId,
  command: C,
  refusal: AppError,
): Promise<Accepted<C['kind']>> {
  const { epoch, outcome } = await readEarlierAnswer(pool, conversation, command);
  if (outcome !== undefined) return accepted(outcome);
  throw withCurrentEpoch(refusal, epoch);
}

/** Byte checks find an epoch that is ahead of every other, and do not know the current one. */
function withCurrentEpoch(refusal: AppError, currentEpoch: number): AppError {
  if (refusal.code !== 'epoch-ahead') return refusal;
  return new AppError('epoch-ahead', undefined, { currentEpoch, ...refusal.details });
}

/** The outcome, unless it is a refusal. @throws AppError */
export function accepted<T extends Accepted>(outcome: T | Refused): T {
  if (outcome.status === 'refused') throw refusalError(outcome);
  return outcome;
}

/** A refusal as the problem that a client gets. */
export function refusalError({ status: _status, code, detail, forMs, ...details }: Refused): AppError {
  // Conversation queues handle these two themselves. A client could only try again.
  if (code === 'body-missing' || code === 'deferred') return new AppError('unavailable');
  // Without a time, another commit must come first.
  return new AppError(code, detail, details, code === 'rate-limited' ? { retryAfterMs: forMs ?? null } : {});
}
