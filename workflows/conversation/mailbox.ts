import { ApplicationFailure, CancellationScope, condition } from '@temporalio/workflow';
import { MAX_BATCH_BYTES } from '../../domain/limits.ts';
import type { StagedCommand } from '../../domain/staged-command.ts';
import type { UpdateInput, UpdateResult } from './messages.ts';

/** Commands of one batch over all updates. Bounds the time for which the conversation's row is locked. */
const MAX_COMMANDS = 1024;

/** An update that waits for its outcomes. */
export interface PendingUpdate extends UpdateInput {
  answer?: UpdateResult | ApplicationFailure;
}

/** The one queue of a conversation: updates in the order of their arrival. */
export class Mailbox {
  #updates: PendingUpdate[] = [];
  #commands = 0;

  /** Commands that wait. */
  get depth(): number {
    return this.#commands;
  }

  isEmpty(): boolean {
    return this.#updates.length === 0;
  }

  /** Queues an update and waits for its answer. */
  async deliver(input: UpdateInput): Promise<UpdateResult> {
    const update: PendingUpdate = { operations: input.operations, requests: input.requests };
    this.#updates.push(update);
    this.#commands += update.operations.length;
    // A cancelled run still answers the updates that it took.
    await CancellationScope.nonCancellable(() => condition(() => update.answer !== undefined));
    if (update.answer instanceof ApplicationFailure) throw update.answer;
    return update.answer ?? { outcomes: [] };
  }

  /** Takes the updates of one batch, in order: at least one, and no more than the limits allow. */
  take(): PendingUpdate[] {
    let commands = 0;
    let bytes = 0;
    let count = 0;
    for (const update of this.#updates) {
      commands += update.operations.length;
      bytes += update.operations.reduce((sum, command) => sum + sizeOf(command), 0);
      if (count > 0 && (commands > MAX_COMMANDS || bytes > MAX_BATCH_BYTES)) break;
      count++;
    }
    const taken = this.#updates.splice(0, count);
    this.#commands -= taken.reduce((sum, update) => sum + update.operations.length, 0);
    return taken;
  }
}

function sizeOf(command: StagedCommand): number {
  return 'size' in command ? command.size : 0;
}
