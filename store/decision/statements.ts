import type pg from 'pg';
import type { Decision } from '../../domain/decision.ts';
import type { OperationJson } from './inline-operation.ts';
import { parseDecision } from './parse-decision.ts';

/** What one decision is about. */
export interface DecisionRequest {
  /** Id of the conversation. */
  readonly conversation: string;
  /** Decided in order; none = only the facts are read, under the lock. */
  readonly operations: readonly OperationJson[];
  /** Bytes of inline operations, which name them by 1-based position. */
  readonly bytes: readonly Uint8Array[];
}

/** A decision; null = somebody else has locked the conversation, and nothing was decided. */
export type DecisionUnlessLocked = Decision | null;

/** Decides if the lock of the conversation is free. Never waits for it. */
export function tryDecide(pool: pg.Pool, request: DecisionRequest): Promise<DecisionUnlessLocked> {
  return one(pool, 'try-decide', 'select try_decide($1, $2, $3) as decision', request);
}

/** How long {@link decideWaiting} waits for the lock; the function `lock_conversation()` has the number. */
export const LOCK_WAIT_MS = 300;

/** Decides after it has waited for the lock, for {@link LOCK_WAIT_MS} at most. */
export function decideWaiting(pool: pg.Pool, request: DecisionRequest): Promise<DecisionUnlessLocked> {
  return one(pool, 'decide-waiting', 'select decide_waiting($1, $2, $3) as decision', request);
}

/**
 * Decides for many conversations in one transaction, each once. Never waits for a conversation.
 * @returns one for each request; a request whose answer is no decision gets the error
 * @throws the database's error, after which nothing was decided for any of them
 */
export async function decideMany(
  pool: pg.Pool,
  requests: readonly DecisionRequest[],
): Promise<(DecisionUnlessLocked | TypeError)[]> {
  const bytes: Uint8Array[] = [];
  const operations = requests.map((request) => {
    const moved = request.operations.map((operation) => moveBytes(operation, bytes.length));
    bytes.push(...request.bytes);
    return moved;
  });
  const { rows } = await pool.query<{ decisions: unknown }>({
    name: 'decide-many',
    text: 'select decide_many($1, $2, $3) as decisions',
    values: [requests.map(({ conversation }) => conversation), JSON.stringify(operations), bytes],
  });
  const decisions: unknown = rows[0]?.decisions;
  if (!Array.isArray(decisions)) throw new TypeError('decide_many() returned no decisions');
  return requests.map((request, i) => {
    try {
      return unlessLocked(request, decisions[i]);
    } catch (error) {
      if (error instanceof TypeError) return error;
      throw error;
    }
  });
}

async function one(pool: pg.Pool, name: string, text: string, request: DecisionRequest): Promise<DecisionUnlessLocked> {
  const { rows } = await pool.query<{ decision: unknown }>({
    name,
    text,
    values: [request.conversation, JSON.stringify(request.operations), request.bytes],
  });
  return unlessLocked(request, rows[0]?.decision);
}

function unlessLocked({ operations }: DecisionRequest, value: unknown): DecisionUnlessLocked {
  return value === null ? null : parseDecision(operations, value);
}

/** The operation with its bytes further back in the array of the call. */
function moveBytes(operation: OperationJson, by: number): OperationJson {
  if (by === 0 || !('bytes' in operation)) return operation;
  const moved = Object.entries(operation.bytes ?? {}).map(([part, position]) => [part, position + by] as const);
  return { ...operation, bytes: Object.fromEntries(moved) };
}
