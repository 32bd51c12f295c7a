import { ApplicationFailure, type TemporalFailure } from '@temporalio/workflow';
import type { FinalFailure } from '../../activities/conversation.ts';
import type { RunTrouble } from '../../domain/search-attributes.ts';
import { FAILURE } from './messages.ts';

const DEFECT: FinalFailure = 'defect';
const LOCKED: FinalFailure = 'locked';

/** The failure of an update that could not be decided. */
export function undecided(type: keyof typeof FAILURE, message: string, details: unknown[] = []): ApplicationFailure {
  return ApplicationFailure.create({ type: FAILURE[type], message, details, nonRetryable: true });
}

/** A new try would only repeat this error. */
export function isDefect(error: TemporalFailure): boolean {
  return hasType(error, DEFECT);
}

/** The failure in the words of the search attribute. */
export function kindOf(error: TemporalFailure): RunTrouble {
  if (isDefect(error)) return 'defect';
  return hasType(error, LOCKED) ? 'blocked' : 'infrastructure';
}

function hasType(error: TemporalFailure, type: FinalFailure): boolean {
  return causes(error).some((cause) => cause instanceof ApplicationFailure && cause.type === type);
}

/** The messages of an error and its causes. */
export function describe(error: TemporalFailure): string {
  return causes(error)
    .map(({ message }) => message)
    .join(': ');
}

/** Failures of local activities come without an `ActivityFailure` around them, failures of other activities with one. */
function causes(error: Error): Error[] {
  return error.cause instanceof Error ? [error, ...causes(error.cause)] : [error];
}
