import pLimit from 'p-limit';
import type pg from 'pg';
import { forUser } from '../pool-share.ts';
import { isOfStatement } from '../sqlstate.ts';
import { Turns } from '../turns.ts';
import { type DecisionRequest, type DecisionUnlessLocked, decideMany, tryDecide } from './statements.ts';

/** Calls in flight. While they run, the next requests gather: calls grow with load. */
const CALLS = 2;
/** Conversations of one call. */
const CONVERSATIONS = 64;
/** Conversations of one call for one user. */
const PER_USER = CONVERSATIONS / 4;
/** Operations of one call: it keeps the locks of its conversations for their time. */
const OPERATIONS = 128;
const BYTES = 1024 * 1024;

/** A request that goes alone has more operations, or more bytes, or others than {@link LIGHT}: nobody waits for its work. */
const MOST_OPERATIONS = 16;
const MOST_BYTES = 64 * 1024;
const LIGHT: readonly string[] = ['message', 'read', 'increment'];
/** Weight of the newest call in the rate at which requests end. */
const RATE_WEIGHT = 0.2;
/** Calls of one request at a time, after a call of many has failed. */
const SINGLE_CALLS = 4;

interface Waiting {
  readonly request: DecisionRequest;
  readonly bytes: number;
  readonly resolve: (decision: DecisionUnlessLocked) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Decides small requests of many conversations by calls that they share: those of one turn of the event loop, and those that
 * gather while the calls before are in flight. Users take turns, and one user gets a part of a call.
 */
export class SharedCalls {
  readonly #pool: pg.Pool;
  readonly #waiting = new Turns<Waiting>();
  #running = 0;
  #scheduled = false;
  #count = 0;
  /** Requests that end in a millisecond, while one call is in flight. */
  #perMs: number | undefined;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /** Whether a request is small enough to share a call. */
  static takes({ operations, bytes }: DecisionRequest): boolean {
    return (
      operations.length <= MOST_OPERATIONS &&
      operations.every(({ kind }) => LIGHT.includes(kind)) &&
      sizeOf({ operations, bytes }) <= MOST_BYTES
    );
  }

  /**
   * @param user whose turn the request is
   * @throws the database's error, which is this request's own, or says that the database does not answer
   */
  decide(request: DecisionRequest, user: string): Promise<DecisionUnlessLocked> {
    return new Promise((resolve, reject) => {
      this.#count++;
      this.#waiting.push(user, { request, bytes: sizeOf(request), resolve, reject });
      if (this.#scheduled) return;
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        // For several users: the calls count for none of them, whoever came first.
        forUser(undefined, () => this.#pump());
      });
    });
  }

  /**
   * Milliseconds until a request that comes now is in a call: those before it, divided by the rate at which requests end
   * (Little 1961). Requests that wait for a lock are not in it.
   */
  get expectedWaitMs(): number {
    return this.#perMs === undefined ? 0 : this.#count / (this.#perMs * CALLS);
  }

  #pump(): void {
    while (this.#running < CALLS && !this.#waiting.isEmpty) {
      this.#running++;
      void this.#run(this.#take()).finally(() => {
        this.#running--;
        this.#pump();
      });
    }
  }

  #take(): Waiting[] {
    let [conversations, operations, bytes] = [0, 0, 0];
    const fits = (next: Waiting): boolean => {
      conversations++;
      operations += next.request.operations.length;
      bytes += next.bytes;
      return conversations <= CONVERSATIONS && operations <= OPERATIONS && bytes <= BYTES;
    };
    const taken = this.#waiting.take(fits, PER_USER);
    this.#count -= taken.length;
    return taken;
  }

  async #run(batch: readonly Waiting[]): Promise<void> {
    const startedAt = performance.now();
    try {
      const decisions = await decideMany(
        this.#pool,
        batch.map(({ request }) => request),
      );
      this.#learn(batch.length / Math.max(1, performance.now() - startedAt));
      batch.forEach(({ resolve, reject }, i) => {
        const decision = decisions[i] ?? null;
        if (decision instanceof TypeError) reject(decision);
        else resolve(decision);
      });
    } catch (error) {
      if (isOfStatement(error)) await this.#runSingly(batch);
      else for (const { reject } of batch) reject(error);
    }
  }

  #learn(perMs: number): void {
    this.#perMs = this.#perMs === undefined ? perMs : this.#perMs * (1 - RATE_WEIGHT) + perMs * RATE_WEIGHT;
  }

  /** Nothing was decided, because of one of them. */
  async #runSingly(batch: readonly Waiting[]): Promise<void> {
    await pLimit(SINGLE_CALLS).map(batch, ({ request, resolve, reject }) =>
      tryDecide(this.#pool, request).then(resolve, reject),
    );
  }
}

/** Bytes that the decision copies, inline or staged. */
function sizeOf({ operations, bytes }: Pick<DecisionRequest, 'operations' | 'bytes'>): number {
  const inline = bytes.reduce((sum, { length }) => sum + length, 0);
  return operations.reduce((sum, operation) => sum + ('body' in operation ? Number(operation.size) : 0), inline);
}
