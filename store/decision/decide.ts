import type pg from 'pg';
import type { Decision, Operation } from '../../domain/operation.ts';
import { parseDecision } from './decision.ts';

/**
 * The deciding transaction (design §1): one call, one transaction, one round trip. Locks the conversation, judges the
 * operations in their order, and stores what it accepts. Everything else in the system only carries operations here.
 * @param conversation id of the conversation
 * @param operations decided in order
 * @param bytes bytes of inline operations, which name them by 1-based position
 * @returns the facts after it and one outcome for each operation
 * @throws DatabaseError of `pg`; `isRetryable` of `sqlstate.ts` tells whether the same call may succeed later
 * @throws TypeError when the answer has another shape than domain/operation.ts says
 */
export async function decide(
  pool: pg.Pool,
  conversation: string,
  operations: readonly Operation[],
  bytes: readonly Uint8Array[] = [],
): Promise<Decision> {
  const { rows } = await pool.query<{ decision: unknown }>({
    name: 'decide',
    text: 'select decide($1, $2, $3) as decision',
    values: [conversation, JSON.stringify(operations), bytes],
  });
  return parseDecision(rows[0]?.decision, operations.length);
}
