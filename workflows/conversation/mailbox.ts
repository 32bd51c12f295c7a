import { ApplicationFailure, CancellationScope, condition } from '@temporalio/workflow';
import { MAX_BATCH_BYTES } from '../../domain/limits.ts';
import type { StagedCommand } from '../../domain/staged-command.ts';
import type { UpdateInput, UpdateResult } from './messages.ts';

/** Commands of one batch over all updates. Bounds the time for which the conversation's row is locked. */
const MAX_COMMANDS = 1024;

type Answer = UpdateResult | ApplicationFailure;

/** An update that waits for its outcomes. */
export class PendingUpdate implements UpdateInput {
  readonly operations: UpdateInput['operations'];
  readonly requests: UpdateInput['requests'];
  #answer: Answer | undefined;
  #onAnswer: (answer: Answer) => void = () => undefined;

  constructor({ operations, requests }: UpdateInput) {
    this.operations = operations;
    this.requests = requests;
  }

  answer(answer: Answer): void {
    this.#answer = answer;
    this.#onAnswer(answer);
  }

  /** The answer as a promise of its own. It is no part of a cancellation scope, so a cancelled run still answers. */
  answered(): Promise<Answer> {
    return new Promise((resolve) => (this.#onAnswer = resolve));
  }

  /** The same as runs of older code wait for it: the SDK looks at every condition after each event. */
  async answeredByCondition(): Promise<Answer> {
    await CancellationScope.nonCancellable(() => condition(() => this.#answer !== undefined));
    return this.#answer ?? { outcomes: [] };
  }
}

/** The one queue of a conversation: updates in the order of their arrival. */
export class Mailbox {
  readonly #plainPromises: boolean;
  readonly #onArrival: () => void;
  #updates: PendingUpdate[] = [];
  #commands = 0;

  /** @param onArrival called when an update has come */
  constructor(plainPromises: boolean, onArrival: () => void) {
    this.#plainPromises = plainPromises;
    this.#onArrival = onArrival;
  }

  /** Commands that wait. */
  get depth(): number {
    return this.#commands;
  }

  isEmpty(): boolean {
    return this.#updates.length === 0;
  }

  /** Queues an update and waits for its answer. */
  async deliver(input: UpdateInput): Promise<UpdateResult> {
    const update = new PendingUpdate(input);
    this.#updates.push(update);
    this.#commands += update.operations.length;
    this.#onArrival();
    const answer = await (this.#plainPromises ? update.answered() : update.answeredByCondition());
    if (answer instanceof ApplicationFailure) throw answer;
    return answer;
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
