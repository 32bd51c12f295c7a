import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import type { Decision } from '../../domain/decision.ts';
import { shareOf } from '../pool-share.ts';
import { ConversationLockedError } from './conversation-locked.ts';
import { LockWaits } from './lock-waits.ts';
import { SharedCalls } from './shared-calls.ts';
import {
  type DecisionRequest,
  type DecisionUnlessLocked,
  LOCK_WAIT_MS,
  decideWaiting,
  tryDecide,
} from './statements.ts';

/** How long a conversation is tried that somebody else has locked. Then its commands are answered with that, also those that come later. */
export const LOCK_PATIENCE_MS = 3000;
/** Between two tries, without a connection. */
const PAUSE_MS = { least: 50, most: 250 };
/** Conversations whose lock somebody keeps, and for how long that is remembered. */
const REMEMBERED = { max: 10_000, ttl: 10_000 };

export interface DecideOptions {
  /** Milliseconds since 1970: the caller answers before, also when the conversation stays locked. */
  readonly deadline?: number | undefined;
  /** How long this call tries to get the lock. @default {@link LOCK_PATIENCE_MS} */
  readonly patienceMs?: number | undefined;
  /** Whose turn it is in calls that many users share. @default the conversation stands for its users */
  readonly user?: string | undefined;
}

/**
 * Decides for all conversations of a pool. One conversation has one call at a time. Small requests share calls. No call waits for
 * the lock of a conversation, except a few: these wait for a short time, and the next try comes after a pause without a connection.
 * So what is locked delays nothing else (docs/explanation/locks.md).
 */
export class Decider {
  readonly #pool: pg.Pool;
  readonly #shared: SharedCalls;
  readonly #lockWaits: LockWaits;
  /** The end of the newest call of each conversation. */
  readonly #newest = new Map<string, Promise<unknown>>();
  /** Since when a conversation is locked by somebody else; milliseconds since 1970. */
  readonly #lockedSince = new LRUCache<string, number>(REMEMBERED);

  constructor(pool: pg.Pool) {
    this.#pool = pool;
    this.#shared = new SharedCalls(pool);
    this.#lockWaits = new LockWaits(shareOf(pool));
  }

  /** Milliseconds until a small request that comes now is in a call; without waits for locks. */
  get expectedWaitMs(): number {
    return this.#shared.expectedWaitMs;
  }

  /** Statements that wait for locks of conversations, and those that wait for their turn to do so. */
  get lockWaits(): LockWaits['counts'] {
    return this.#lockWaits.counts;
  }

  /**
   * @throws DatabaseError of `pg`; `isRetryable` of `sqlstate.ts` tells whether the same call may succeed later
   * @throws ConversationLockedError, retryable too
   * @throws TypeError when the answer is no decision (`parse-decision.ts`)
   */
  async decide(request: DecisionRequest, options: DecideOptions = {}): Promise<Decision> {
    const { conversation } = request;
    const before = this.#newest.get(conversation);
    const running = before === undefined ? this.#decide(request, options) : this.#after(before, request, options);
    const end = running.catch(() => undefined);
    this.#newest.set(conversation, end);
    try {
      return await running;
    } finally {
      if (this.#newest.get(conversation) === end) this.#newest.delete(conversation);
    }
  }

  /**
   * Runs another statement that waits for the lock of a conversation (`lock_conversation()`), one of few at a time.
   * @throws ConversationLockedError when it got no turn
   */
  readonly waitForLock = async <T>(patienceMs: number, statement: () => Promise<T>): Promise<T> => {
    const now = Date.now();
    const result = await this.#lockWaits.run(0, now + patienceMs, async () => ({ of: await statement() }));
    if (result === undefined) throw new ConversationLockedError();
    return result.of;
  };

  async #after(before: Promise<unknown>, request: DecisionRequest, options: DecideOptions): Promise<Decision> {
    await before;
    return this.#decide(request, options);
  }

  async #decide(request: DecisionRequest, options: DecideOptions): Promise<Decision> {
    const { conversation } = request;
    const { deadline, user = conversation, patienceMs = LOCK_PATIENCE_MS } = options;
    const patience = deadline === undefined ? patienceMs : Math.min(patienceMs, (deadline - Date.now()) / 2);
    for (let tries = 0; ; tries++) {
      const decision = (await this.#try(request, user)) ?? (await this.#wait(request, tries, patience));
      if (decision !== null) {
        this.#lockedSince.delete(conversation);
        return decision;
      }
      const since = this.#since(conversation);
      if (Date.now() >= since + patience) throw new ConversationLockedError();
      await pause();
    }
  }

  #try(request: DecisionRequest, user: string): Promise<DecisionUnlessLocked> {
    return SharedCalls.takes(request) ? this.#shared.decide(request, user) : tryDecide(this.#pool, request);
  }

  async #wait(request: DecisionRequest, tries: number, patience: number): Promise<DecisionUnlessLocked> {
    const until = this.#since(request.conversation) + patience - LOCK_WAIT_MS;
    if (Date.now() >= until) return null;
    return (await this.#lockWaits.run(tries, until, () => decideWaiting(this.#pool, request))) ?? null;
  }

  /** Since when the conversation is locked. */
  #since(conversation: string): number {
    const since = this.#lockedSince.get(conversation) ?? Date.now();
    if (!this.#lockedSince.has(conversation)) this.#lockedSince.set(conversation, since);
    return since;
  }
}

function pause(): Promise<void> {
  const { least, most } = PAUSE_MS;
  return new Promise((resolve) => setTimeout(resolve, least + Math.random() * (most - least)));
}
