import { ApplicationFailure, CancellationScope, condition } from '@temporalio/workflow';
import { MAX_BATCH_BYTES } from '../../domain/limits.ts';
import type { Operation } from '../../domain/operation.ts';
import { FAILURE, type UpdateInput, type UpdateResult } from './messages.ts';

/** Operations of one batch over all updates: bounds the time that the conversation's row is locked. */
const MAX_OPERATIONS = 1024;

/** One update that waits for its outcomes. */
export interface Letter extends UpdateInput {
  answer?: UpdateResult | ApplicationFailure;
}

/** The one queue of a conversation: updates in the order of their arrival. */
export class Mailbox {
  #letters: Letter[] = [];
  #operations = 0;

  /** Operations that wait. */
  get depth(): number {
    return this.#operations;
  }

  isEmpty(): boolean {
    return this.#letters.length === 0;
  }

  /** Queues an update and waits for its answer. */
  async deliver(input: UpdateInput): Promise<UpdateResult> {
    const letter: Letter = { operations: input.operations, requests: input.requests };
    this.#letters.push(letter);
    this.#operations += letter.operations.length;
    // A cancelled run still answers what it took.
    await CancellationScope.nonCancellable(() => condition(() => letter.answer !== undefined));
    if (letter.answer instanceof ApplicationFailure) throw letter.answer;
    return letter.answer ?? { outcomes: [] };
  }

  /** Takes what one batch may hold, in order; at least one update. */
  take(): Letter[] {
    let operations = 0;
    let bytes = 0;
    let count = 0;
    for (const letter of this.#letters) {
      operations += letter.operations.length;
      bytes += letter.operations.reduce((sum, operation) => sum + size(operation), 0);
      if (count > 0 && (operations > MAX_OPERATIONS || bytes > MAX_BATCH_BYTES)) break;
      count++;
    }
    const taken = this.#letters.splice(0, count);
    this.#operations -= taken.reduce((sum, letter) => sum + letter.operations.length, 0);
    return taken;
  }
}

/** What ends an update that could not be decided. */
export function undecided(type: keyof typeof FAILURE, message: string, details: unknown[] = []): ApplicationFailure {
  return ApplicationFailure.create({ type: FAILURE[type], message, details, nonRetryable: true });
}

function size(operation: Operation): number {
  return 'size' in operation ? operation.size : 0;
}
