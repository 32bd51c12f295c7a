import { type TemporalFailure, condition, patched } from '@temporalio/workflow';
import type { ConversationFacts } from '../../domain/decision.ts';
import type { RunTrouble } from '../../domain/search-attributes.ts';
import { PATCH } from '../patches.ts';
import { Alarm } from './alarm.ts';
import { describe, kindOf } from './failures.ts';
import { Mailbox } from './mailbox.ts';
import type { ConversationInput, ConversationSettings, ConversationState, WaitingIncrement } from './messages.ts';
import { sinks } from './sinks.ts';
import { ShownAttributes } from './shown-attributes.ts';
import { time } from './time.ts';

/** So many failures in a row are a trouble. A single one is over with the next success, and is worth no event. */
const TROUBLE_FAILURES = 2;

/** What one run of a conversation holds in memory. Nothing here decides: the facts are a cache of the last decision. */
export class ConversationRun {
  readonly conversation: string;
  readonly settings: ConversationSettings;
  readonly startedAt = Date.now();
  /** Explicit unread increments that are not applied yet. */
  increments: WaitingIncrement[];
  /** The three alarms: complete when idle, apply waiting increments, do work that is due by time. */
  readonly idle = new Alarm('idle: the run completes', () => this.wake());
  readonly flush = new Alarm('increments are counted', () => this.wake());
  readonly retention = new Alarm('retention and other work that is due', () => this.wake());
  facts: ConversationFacts | undefined;
  /** When the facts were true; milliseconds since 1970, in workflow time. */
  asOf = 0;
  /** Facts and due times may have changed beside this run: it loads them. */
  stale = false;
  /** Search attributes as Temporal has them. */
  readonly attributes = new ShownAttributes();
  /** The newest failure of this run. */
  lastError: { readonly kind: RunTrouble; readonly message: string; readonly at: number } | undefined;
  /** Commands decided by this run. */
  decided = 0;
  /** The run is ending: updates are refused, and the next run takes them. */
  closing = false;
  shutdownReason: string | undefined;
  /**
   * A reset run gets the signals and updates of the old one in one task, as they came. In a replay of that task all signals
   * come first. So a handler must make no command of its own, such as a timer. Runs that older code began still do.
   */
  readonly handlersOnlyQueue: boolean;
  readonly mailbox: Mailbox;
  /**
   * The run waits with promises that are resolved by whoever has something for it. The SDK looks at a `condition` after each
   * event, and each look is an expensive call into the sandbox: a quarter of the calls for one message.
   */
  readonly #plainPromises = patched(PATCH.plainPromises);
  #wake: () => void = () => undefined;
  #shownDepth = 0;
  /** Failures since the last success. */
  #failures = 0;

  constructor({ conversation, settings, increments = [] }: ConversationInput) {
    this.conversation = conversation;
    this.settings = settings;
    this.increments = [...increments];
    this.handlersOnlyQueue = this.#plainPromises || patched(PATCH.handlersOnlyQueue);
    this.mailbox = new Mailbox(this.#plainPromises, () => this.wake());
  }

  /** Waits until something holds. Whoever changes what it looks at calls {@link wake}. */
  async until(holds: () => boolean): Promise<void> {
    if (!this.#plainPromises) {
      await condition(holds);
      return;
    }
    while (!holds()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  /** Something has changed: the run looks whether it has work. */
  wake(): void {
    this.#wake();
  }

  /** Finish what is queued, and end. */
  shutDown(reason: string): void {
    this.shutdownReason = reason;
    this.wake();
  }

  /** Facts and due times may have changed beside this run. */
  refresh(): void {
    this.stale = true;
    this.wake();
  }

  /** Increments wait, and no alarm will flush them yet. */
  needsFlushAlarm(): boolean {
    return this.increments.length > 0 && !this.flush.isSet;
  }

  setFlushAlarm(): void {
    if (this.needsFlushAlarm()) this.flush.set(Date.now() + this.settings.flushMs);
  }

  hasBatch(): boolean {
    return !this.mailbox.isEmpty() || this.flush.due;
  }

  hasWork(): boolean {
    return this.hasBatch() || this.retention.due || this.stale;
  }

  /** Takes the facts of a decision in place of the old ones, and sets the timer by them. */
  learn(facts: ConversationFacts): void {
    this.facts = facts;
    this.asOf = Date.now();
    this.#failures = 0;
    if (facts.dueAt === undefined) this.retention.clear();
    else this.retention.set(facts.dueAt);
  }

  /** Tells the worker how many commands wait, when that changed: each call goes to its main thread. */
  showDepth(): void {
    if (this.mailbox.depth === this.#shownDepth) return;
    this.#shownDepth = this.mailbox.depth;
    sinks.conversation.mailbox(this.#shownDepth);
  }

  /** A decision or a timer failed. */
  failed(error: TemporalFailure): void {
    this.#failures++;
    this.lastError = { kind: kindOf(error), message: describe(error), at: Date.now() };
  }

  /** False after a failure, until the next success. */
  get healthy(): boolean {
    return this.#failures === 0;
  }

  get trouble(): RunTrouble | undefined {
    return this.#failures < TROUBLE_FAILURES ? undefined : this.lastError?.kind;
  }

  state(): ConversationState {
    return {
      conversation: this.conversation,
      ...(this.facts === undefined ? {} : { facts: this.facts, asOf: time(this.asOf) }),
      health: this.healthy ? 'healthy' : 'degraded',
      queued: this.mailbox.depth,
      pendingIncrements: this.increments.length,
      decided: this.decided,
      closing: this.closing,
    };
  }
}
