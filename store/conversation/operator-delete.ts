import type pg from 'pg';
import { deciderOf } from '../decision/decide.ts';
import { type Row, flag, onlyRow } from '../row.ts';

/** For so long an operator's deletion waits for its turn at the lock. */
const PATIENCE_MS = 3000;

/**
 * Deletes a conversation for everybody, as an operator, with a row in the audit. A tombstone stays; the rest is removed by the
 * workflow of the conversation, which the sweep wakes.
 * @returns false when there is no such conversation (any more)
 * @throws ConversationLockedError, or an error of the database (`lock_not_available`), when a session holds its row
 */
export function deleteByOperator(
  pool: pg.Pool,
  conversation: string,
  operator: string,
  details: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  return deciderOf(pool).waitForLock(PATIENCE_MS, async () => {
    const { rows } = await pool.query<Row>({
      name: 'delete-by-operator',
      text: 'select delete_by_operator($1, $2, $3) as deleted',
      values: [conversation, operator, JSON.stringify(details)],
    });
    return flag(onlyRow(rows, 'delete-by-operator'), 'deleted');
  });
}
