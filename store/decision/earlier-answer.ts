import type pg from 'pg';
import type { Command } from '../../domain/command.ts';
import { type Outcome, outcomeFor } from '../../domain/outcome.ts';
import { inlineOperation } from './inline-operation.ts';

/** What is known of a command before it is decided. */
export interface EarlierAnswer<C extends Command> {
  /** Epoch of the conversation; 0 when there is none. */
  readonly epoch: number;
  /**
   * The answer that the command got before, or the refusal of a user who is no current member (of an external commit: who
   * may not join). Absent = the command is new, and its sender may go on.
   */
  readonly outcome?: Outcome<C['kind']>;
}

/**
 * Looks up the answer of a command that was decided before (steps 2, 3 and 5 of docs/explanation/order-of-checks.md). Reads
 * only: takes no lock, writes nothing, and sends none of the command's bytes.
 */
export async function readEarlierAnswer<C extends Command>(
  pool: pg.Pool,
  conversation: string,
  command: C,
): Promise<EarlierAnswer<C>> {
  const { bytes: _positions, ...operation } = inlineOperation(command, () => 0);
  const { rows } = await pool.query<{ answer: unknown }>({
    name: 'read-earlier-answer',
    text: 'select earlier_answer($1, $2) as answer',
    values: [conversation, JSON.stringify(operation)],
  });
  const { epoch, outcome } = (rows[0]?.answer ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof epoch !== 'number') throw new TypeError('earlier_answer() returned no epoch');
  return { epoch, ...(outcome === undefined ? {} : { outcome: outcomeFor(command, outcome) }) };
}
