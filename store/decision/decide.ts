import type pg from 'pg';
import type { Command } from '../../domain/command.ts';
import type { Decision } from '../../domain/decision.ts';
import { type StagedCommand, isStaged } from '../../domain/staged-command.ts';
import { inlineOperation, type OperationJson } from './inline-operation.ts';
import { parseDecision } from './parse-decision.ts';

/**
 * The deciding transaction: one call, one transaction, one round trip. It locks the conversation, judges the commands in
 * their order, and stores what it accepts. Everything else in the system only carries commands to this call.
 * @param conversation id of the conversation
 * @param operations decided in order; none = only the facts are read, under the lock
 * @param bytes bytes of inline operations, which name them by 1-based position
 * @returns the facts after the decision and one outcome for each operation
 * @throws DatabaseError of `pg`; `isRetryable` of `sqlstate.ts` tells whether the same call may succeed later
 * @throws TypeError when the answer is no decision (`parse-decision.ts`)
 */
export async function decide(
  pool: pg.Pool,
  conversation: string,
  operations: readonly OperationJson[],
  bytes: readonly Uint8Array[] = [],
): Promise<Decision> {
  const { rows } = await pool.query<{ decision: unknown }>({
    name: 'decide',
    text: 'select decide($1, $2, $3) as decision',
    values: [conversation, JSON.stringify(operations), bytes],
  });
  return parseDecision(operations, rows[0]?.decision);
}

/**
 * Decides commands with their bytes inline, and commands that are staged already (direct path). A staged row is deleted by
 * the transaction that decides it, so a second copy of the command finds nothing to decide. Throws as {@link decide}.
 */
export function decideCommands(
  pool: pg.Pool,
  conversation: string,
  commands: readonly (Command | StagedCommand)[],
): Promise<Decision> {
  const bytes: Uint8Array[] = [];
  const operations = commands.map((command) =>
    isStaged(command) ? command : inlineOperation(command, (value) => bytes.push(value)),
  );
  return decide(pool, conversation, operations, bytes);
}
