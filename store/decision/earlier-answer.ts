import type pg from 'pg';
import type { Operation, Outcome } from '../../domain/operation.ts';
import { parseOutcome } from './decision.ts';

/** What is known of an operation before it is decided. */
export interface EarlierAnswer {
  /** Epoch of the conversation; 0 when there is none. */
  readonly epoch: number;
  /**
   * The answer that the operation got before, or the refusal of a user who is no current member (of an external commit: who may
   * not join). `undefined` = the operation is new, and its sender may go on.
   */
  readonly outcome?: Outcome;
}

/**
 * Looks up the answer of an operation that was decided before (order of checks: docs/explanation/order-of-checks.md, steps 2, 3
 * and 5). Reads only: takes no lock, writes nothing, and needs none of the operation's bytes.
 */
export async function readEarlierAnswer(
  pool: pg.Pool,
  conversation: string,
  operation: Operation,
): Promise<EarlierAnswer> {
  const { rows } = await pool.query<{ answer: { epoch: number; outcome?: unknown } }>({
    name: 'read-earlier-answer',
    text: 'select earlier_answer($1, $2) as answer',
    values: [conversation, JSON.stringify(operation)],
  });
  const answer = rows[0]?.answer;
  if (typeof answer?.epoch !== 'number') throw new TypeError('earlier_answer() returned no epoch');
  return {
    epoch: answer.epoch,
    ...(answer.outcome === undefined ? {} : { outcome: parseOutcome(answer.outcome) }),
  };
}
