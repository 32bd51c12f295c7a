import type pg from 'pg';
import type { Command } from '../../domain/command.ts';
import type { Decision } from '../../domain/decision.ts';
import { type StagedCommand, isStaged } from '../../domain/staged-command.ts';
import { type DecideOptions, Decider } from './decider.ts';
import { inlineOperation, type OperationJson } from './inline-operation.ts';

const deciders = new WeakMap<pg.Pool, Decider>();

/** The one decider of a pool: what calls share, and how many wait for locks, is counted for the pool as a whole. */
export function deciderOf(pool: pg.Pool): Decider {
  let decider = deciders.get(pool);
  if (decider === undefined) deciders.set(pool, (decider = new Decider(pool)));
  return decider;
}

/**
 * The deciding transaction. It locks the conversation, judges the commands in their order, and stores what it accepts. Everything
 * else in the system only carries commands to this call. Small calls of one pool share a transaction (`decider.ts`).
 * @param conversation id of the conversation
 * @param operations decided in order; none = only the facts are read, under the lock
 * @param bytes bytes of inline operations, which name them by 1-based position
 * @returns the facts after the decision and one outcome for each operation
 * @throws as {@link Decider.decide}
 */
export function decide(
  pool: pg.Pool,
  conversation: string,
  operations: readonly OperationJson[],
  bytes: readonly Uint8Array[] = [],
  options: DecideOptions = {},
): Promise<Decision> {
  return deciderOf(pool).decide({ conversation, operations, bytes }, options);
}

/**
 * Decides commands with their bytes inline, and commands that are staged already (direct path). A staged row is deleted by
 * the transaction that decides it, so a second copy of the command finds nothing to decide. Throws as {@link decide}.
 */
export function decideCommands(
  pool: pg.Pool,
  conversation: string,
  commands: readonly (Command | StagedCommand)[],
  options: DecideOptions = {},
): Promise<Decision> {
  const bytes: Uint8Array[] = [];
  const operations = commands.map((command) =>
    isStaged(command) ? command : inlineOperation(command, (value) => bytes.push(value)),
  );
  return decide(pool, conversation, operations, bytes, options);
}
