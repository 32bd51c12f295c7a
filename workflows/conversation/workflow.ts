import {
  ApplicationFailure,
  CancellationScope,
  TemporalFailure,
  allHandlersFinished,
  condition,
  continueAsNew,
  log,
  proxyLocalActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { ConversationActivities, FinalFailure } from '../../activities/conversation.ts';
import { MAX_BATCH_OPERATIONS } from '../../domain/limits.ts';
import type { ConversationFacts, IncrementOperation, Operation } from '../../domain/operation.ts';
import { slicePacked } from '../../domain/outcome.ts';
import { Alarm } from './alarm.ts';
import { type Letter, Mailbox, undecided } from './mailbox.ts';
import * as messages from './messages.ts';
import { sinks } from './sinks.ts';

/**
 * Local activities: one persistence write for update, decision and answer. The retry budget is short, so that waiting
 * requests end as retryable while the conversation lives on; statements give up before the activity does.
 */
const activities = proxyLocalActivities<ConversationActivities>({
  // For a try that hangs; the activity itself ends tries that fail. No start-to-close timeout: the SDK's core 1.24 never
  // stops the timer of a failed try. When it fires, it cancels the try that runs then, and panics after a worker's stop.
  scheduleToCloseTimeout: 6000,
  localRetryThreshold: 10_000,
  retry: { initialInterval: 50, backoffCoefficient: 2, maximumInterval: 500 },
});

const DEFECT: FinalFailure = 'defect';

/**
 * A run continues as new at a quiet moment after the soft number of events, and at any moment after the hard one. After a
 * crash a worker replays the whole run before it can go on: 1,500 events cost it about a second, and many conversations
 * come back at once on one thread, each within the workflow task timeout, else it begins again. The server's own limits
 * are far above.
 */
const SOFT_HISTORY_EVENTS = 300;
const HARD_HISTORY_EVENTS = 800;
const HARD_HISTORY_BYTES = 8 * 1024 * 1024;
/** After a failed flush or retention run, the next try. */
const RETRY_MS = 5000;

/**
 * One conversation: a mailbox, one order, batches, timers. It decides nothing: every operation goes to the deciding
 * transaction in Postgres, whose answers it hands back. It may be terminated or reset at any time.
 */
export async function conversation(input: messages.ConversationInput): Promise<messages.ConversationEnd> {
  const { cancelRequested } = CancellationScope.current();
  return CancellationScope.nonCancellable(() => new Conversation(input, cancelRequested).run());
}

interface UpdateHandlerOptions {
  readonly description: string;
  readonly validator: (input: messages.UpdateInput) => void;
}

class Conversation {
  readonly #input: messages.ConversationInput;
  readonly #settings: messages.ConversationSettings;
  readonly #mailbox = new Mailbox();
  readonly #idle = new Alarm();
  readonly #flush = new Alarm();
  readonly #retention = new Alarm();
  readonly #startedAt = Date.now();
  #increments: IncrementOperation[];
  #facts: ConversationFacts | undefined;
  #healthy = true;
  #shownDepth = 0;
  #decided = 0;
  #closing = false;
  #shutdownReason: string | undefined;

  constructor(input: messages.ConversationInput, cancelRequested: Promise<never>) {
    this.#input = input;
    this.#settings = input.settings;
    this.#increments = [...(input.increments ?? [])];
    this.#register();
    const { unsafe, continuedFromExecutionRunId } = workflowInfo();
    sinks.conversation.started({ replaying: unsafe.isReplaying, continued: continuedFromExecutionRunId !== undefined });
    // Cancelling a conversation is shutting it down.
    cancelRequested.catch(() => (this.#shutdownReason ??= 'cancelled'));
  }

  async run(): Promise<messages.ConversationEnd> {
    this.#idle.set(Date.now() + this.#settings.idleMs);
    if (this.#increments.length > 0) this.#flush.set(Date.now() + this.#settings.flushMs);
    // Started by the sweep or by a signal: nothing will bring the due times but a look.
    if (this.#mailbox.isEmpty()) await this.#load();
    for (;;) {
      await condition(() => this.#hasWork() || this.#endReason() !== undefined);
      if (!this.#mailbox.isEmpty() || this.#flush.due) await this.#applyBatch();
      // Also after a batch: a conversation that is never idle must not keep its bodies for ever.
      if (this.#retention.due) await this.#retain();
      const reason = this.#endReason();
      if (reason !== undefined && (await this.#settle(reason))) {
        sinks.conversation.ended(reason);
        return reason === 'continue' ? await this.#continue() : { reason };
      }
    }
  }

  #register(): void {
    const update = (description: string): UpdateHandlerOptions => ({
      description,
      validator: (input: messages.UpdateInput) => this.#validate(input),
    });
    const deliver = (input: messages.UpdateInput): Promise<messages.UpdateResult> => this.#mailbox.deliver(input);
    setHandler(messages.sendMessages, deliver, update('Store 1 to 256 messages, given by reference'));
    setHandler(messages.commit, deliver, update('Store a commit if it ends the current epoch'));
    setHandler(messages.addMembers, deliver, update('Add users, with a commit in mls conversations'));
    setHandler(messages.removeMember, deliver, update('Remove a user, or let one leave'));
    setHandler(messages.resetUnread, deliver, update('Move read positions forward and clear explicit increments'));
    setHandler(
      messages.administer,
      deliver,
      update('Change a role or the policy, supply a GroupInfo, report, reset or delete the conversation'),
    );
    setHandler(messages.incrementUnread, (increment) => this.#increment(increment), {
      description: 'Add to the unread count of everybody but the sender',
    });
    // Operators send it by hand, also without input.
    setHandler(
      messages.shutdown,
      (given?: Partial<messages.Shutdown>) => void (this.#shutdownReason = given?.reason ?? ''),
      {
        description: 'Finish queued work and complete; the next operation starts the conversation again',
      },
    );
    setHandler(messages.state, () => this.#state(), { description: 'Epoch, members, queue and health' });
    setHandler(messages.epoch, () => this.#facts?.epoch, { description: 'The current epoch, as last seen' });
  }

  /** Refuses only what is certain. Synchronous: a rejected promise would not reject the update. */
  #validate(input: messages.UpdateInput): void {
    // Operators can send updates by hand, so the shape is checked at run time.
    const operations = (input as Partial<messages.UpdateInput> | undefined)?.operations;
    if (!Array.isArray(operations) || operations.length === 0 || operations.length > MAX_BATCH_OPERATIONS) {
      throw undecided('malformed', `An update carries 1 to ${MAX_BATCH_OPERATIONS} operations`);
    }
    if (!operations.every(isOperation)) throw undecided('malformed', 'An operation has a kind and an id');
    if (this.#closing || this.#shutdownReason !== undefined) throw undecided('closing', 'The run is ending');
    if (this.#mailbox.depth + operations.length > this.#settings.mailboxLimit) {
      throw undecided('overloaded', 'The mailbox is full', [{ depth: this.#mailbox.depth }]);
    }
  }

  #increment(increment: IncrementOperation): void {
    this.#increments.push({ ...increment, kind: 'increment' });
    if (this.#increments.length === 1) this.#flush.set(Date.now() + this.#settings.flushMs);
  }

  #hasWork(): boolean {
    return !this.#mailbox.isEmpty() || this.#flush.due || this.#retention.due;
  }

  /** Group commit: everything that waits, up to limits, is one call of the deciding transaction. */
  async #applyBatch(): Promise<void> {
    const letters = this.#mailbox.take();
    const increments = this.#increments;
    this.#increments = [];
    this.#flush.clear();
    this.#showDepth();
    try {
      await this.#apply(letters, increments);
    } catch (error) {
      if (!(error instanceof TemporalFailure)) throw error;
      this.#healthy = false;
      // A defect of one update or increment must not fail those that only shared its batch.
      if (isDefect(error)) await this.#applyOneByOne(letters, increments);
      else this.#postpone(letters, increments, error);
    }
    this.#idle.set(Date.now() + this.#settings.idleMs);
    this.#showDetails();
  }

  async #applyOneByOne(letters: readonly Letter[], increments: readonly IncrementOperation[]): Promise<void> {
    const parts = [
      ...letters.map((letter) => ({ letters: [letter], increments: [] })),
      ...increments.map((increment) => ({ letters: [], increments: [increment] })),
    ];
    for (const part of parts) {
      try {
        await this.#apply(part.letters, part.increments);
      } catch (error) {
        if (!(error instanceof TemporalFailure)) throw error;
        // An increment that can never be applied is dropped: kept, it would fail every batch and every end of a run.
        if (isDefect(error)) log.error('defect', { error: describe(error), increments: part.increments.length });
        this.#postpone(part.letters, isDefect(error) ? [] : part.increments, error);
      }
    }
  }

  /** Tells the worker how many operations wait, when that changed: each call goes to its main thread. */
  #showDepth(): void {
    if (this.#mailbox.depth === this.#shownDepth) return;
    this.#shownDepth = this.#mailbox.depth;
    sinks.conversation.mailbox(this.#shownDepth);
  }

  /** Nobody knows whether they were decided: requests ask again with the same operation ids, increments are kept. */
  #postpone(letters: readonly Letter[], increments: readonly IncrementOperation[], error: TemporalFailure): void {
    const type = isDefect(error) ? 'defect' : 'infra';
    for (const letter of letters) letter.answer = undecided(type, 'The decision is not known', [describe(error)]);
    this.#increments = [...increments, ...this.#increments];
    if (this.#increments.length > 0) this.#flush.set(Date.now() + RETRY_MS);
  }

  async #apply(letters: readonly Letter[], increments: readonly IncrementOperation[]): Promise<void> {
    const operations: Operation[] = letters.flatMap((letter) => letter.operations);
    const requests = letters.flatMap((letter) => letter.requests);
    if (this.#settings.logBatches) {
      log.debug('batch', { requests, operations: operations.length, increments: increments.length });
    }
    const { facts, outcomes } = await activities.apply({
      conversation: this.#input.conversation,
      operations: [...operations, ...increments],
      requests,
    });
    this.#learn(facts);
    this.#decided += operations.length + increments.length;
    let position = 0;
    for (const letter of letters) {
      letter.answer = { outcomes: slicePacked(outcomes, position, letter.operations.length) };
      position += letter.operations.length;
    }
  }

  async #load(): Promise<void> {
    try {
      this.#learn(await activities.load({ conversation: this.#input.conversation }));
    } catch (error) {
      if (!(error instanceof TemporalFailure)) throw error;
      // Postgres is away: look again later, as for retention; operations are taken meanwhile.
      this.#healthy = false;
      this.#retention.set(Date.now() + RETRY_MS);
    }
    this.#showDetails();
  }

  /** The timer's work: takes what is past its time, or what a deleted conversation left behind. */
  async #retain(): Promise<void> {
    this.#retention.clear();
    try {
      this.#learn(await activities.retain({ conversation: this.#input.conversation, now: Date.now() }));
      // More to take: by a timer, so that time goes on even if that step took nothing.
      if (this.#retention.due) this.#retention.set(Date.now() + 1);
    } catch (error) {
      if (!(error instanceof TemporalFailure)) throw error;
      this.#healthy = false;
      this.#retention.set(Date.now() + RETRY_MS);
    }
  }

  /** Facts are a cache that heals from each result. */
  #learn(facts: ConversationFacts): void {
    this.#facts = facts;
    this.#healthy = true;
    if (facts.dueAt === undefined) this.#retention.clear();
    else this.#retention.set(facts.dueAt);
  }

  #endReason(): messages.ConversationEnd['reason'] | 'continue' | undefined {
    if (this.#shutdownReason !== undefined) return 'shutdown';
    const info = workflowInfo();
    const hard = info.historyLength > HARD_HISTORY_EVENTS || info.historySize > HARD_HISTORY_BYTES;
    if (hard) return 'continue';
    if (!this.#mailbox.isEmpty()) return undefined;
    const forced = this.#settings.continueAfter !== undefined && this.#decided >= this.#settings.continueAfter;
    const old = Date.now() - this.#startedAt >= this.#settings.minimumRunMs;
    const long = info.continueAsNewSuggested || info.historyLength > SOFT_HISTORY_EVENTS;
    if (old && (long || forced)) return 'continue';
    if (this.#facts?.found === false && this.#facts.dueAt === undefined)
      return this.#decided > 0 ? 'deleted' : 'not-found';
    return this.#idle.due ? 'idle' : undefined;
  }

  /** Finishes what is queued and lets every handler answer; false = new work or trouble, the run goes on. */
  async #settle(reason: string): Promise<boolean> {
    this.#closing = true;
    while (!this.#mailbox.isEmpty()) await this.#applyBatch();
    if (reason !== 'continue' && this.#increments.length > 0) await this.#applyBatch();
    await condition(allHandlersFinished);
    // Increments of signals that came while it closed must still be applied, unless the next run carries them.
    if (this.#mailbox.isEmpty() && (reason === 'continue' || this.#increments.length === 0)) return true;
    this.#closing = false;
    return false;
  }

  #continue(): Promise<never> {
    return continueAsNew<typeof conversation>({
      conversation: this.#input.conversation,
      settings: this.#settings,
      ...(this.#increments.length === 0 ? {} : { increments: this.#increments }),
    });
  }

  #state(): messages.ConversationState {
    return {
      conversation: this.#input.conversation,
      ...(this.#facts === undefined ? {} : { facts: this.#facts }),
      health: this.#healthy ? 'healthy' : 'degraded',
      queued: this.#mailbox.depth,
      pendingIncrements: this.#increments.length,
      decided: this.#decided,
      closing: this.#closing,
    };
  }

  #showDetails(): void {
    if (this.#facts === undefined) return;
    const { protocol, epoch, lastSeq, memberCount } = this.#facts;
    setCurrentDetails(
      `**${this.#healthy ? 'healthy' : 'degraded'}** · ${protocol} · ${memberCount} members · epoch ${epoch} · last seq ${lastSeq}`,
    );
  }
}

/** What the queue and the deciding transaction rely on; everything else is judged there. */
function isOperation(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { id, kind } = value as Partial<Record<keyof Operation, unknown>>;
  return typeof id === 'string' && typeof kind === 'string';
}

/** An error that trying again would only repeat. */
function isDefect(error: TemporalFailure): boolean {
  return causes(error).some((cause) => cause instanceof ApplicationFailure && cause.type === DEFECT);
}

function describe(error: TemporalFailure): string {
  return causes(error)
    .map(({ message }) => message)
    .join(': ');
}

/** Failures of local activities come without an `ActivityFailure` around them, those of other activities with one. */
function causes(error: Error): Error[] {
  return error.cause instanceof Error ? [error, ...causes(error.cause)] : [error];
}
