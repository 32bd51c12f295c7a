import type { CommandKind } from '../../domain/command.ts';
import type { ConversationFacts, Decision } from '../../domain/decision.ts';
import { parseOutcome } from '../../domain/outcome.ts';
import { type ChainedCommand, completeChains } from './complete-chains.ts';

/**
 * Checks what `decide()` returned, against the operations that it decided.
 * @throws TypeError that says what is missing: the functions in the database are not those of this version
 */
export function parseDecision(
  operations: readonly (ChainedCommand & { readonly kind: CommandKind })[],
  value: unknown,
): Decision {
  if (!isRecord(value) || !Array.isArray(value.outcomes)) throw new TypeError('decide() returned no decision');
  const outcomes: readonly unknown[] = value.outcomes;
  if (outcomes.length !== operations.length) {
    throw new TypeError(`decide() returned ${outcomes.length} outcomes for ${operations.length} operations`);
  }
  const parsed = operations.map(({ kind }, i) => parseOutcome(kind, outcomes[i]));
  return { facts: parseFacts(value.facts), outcomes: completeChains(operations, parsed) };
}

function parseFacts(value: unknown): ConversationFacts {
  if (!isRecord(value)) throw new TypeError('decide() returned no facts');
  const { found, protocol, epoch, lastSeq, memberCount, changed, dueAt } = value;
  if (
    typeof found !== 'boolean' ||
    typeof protocol !== 'string' ||
    typeof epoch !== 'number' ||
    typeof lastSeq !== 'number' ||
    typeof memberCount !== 'number'
  ) {
    throw new TypeError('decide() returned incomplete facts');
  }
  return {
    found,
    protocol,
    epoch,
    lastSeq,
    memberCount,
    ...(changed === true ? { changed } : {}),
    ...(typeof dueAt === 'number' ? { dueAt } : {}),
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
