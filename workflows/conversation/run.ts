import { condition, patched, setCurrentDetails } from '@temporalio/workflow';
import type { ConversationFacts } from '../../domain/decision.ts';
import { PATCH } from '../patches.ts';
import { Alarm } from './alarm.ts';
import { Mailbox } from './mailbox.ts';
import type { ConversationInput, ConversationSettings, ConversationState, WaitingIncrement } from './messages.ts';
import { sinks } from './sinks.ts';

/** What one run of a conversation holds in memory. Nothing here decides: the facts are a cache of the last decision. */
export class ConversationRun {
  readonly conversation: string;
  readonly settings: ConversationSettings;
  readonly startedAt = Date.now();
  /** Explicit unread increments that are not applied yet. */
  increments: WaitingIncrement[];
  /** The three alarms: complete when idle, apply waiting increments, do work that is due by time. */
  readonly idle = new Alarm(() => this.wake());
  readonly flush = new Alarm(() => this.wake());
  readonly retention = new Alarm(() => this.wake());
  facts: ConversationFacts | undefined;
  /** When the facts were true; milliseconds since 1970, in workflow time. */
  asOf = 0;
  /** Facts and due times may have changed beside this run: it loads them. */
  stale = false;
  /** False after a failure, until the next success. */
  healthy = true;
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
    this.healthy = true;
    if (facts.dueAt === undefined) this.retention.clear();
    else this.retention.set(facts.dueAt);
  }

  /** Tells the worker how many commands wait, when that changed: each call goes to its main thread. */
  showDepth(): void {
    if (this.mailbox.depth === this.#shownDepth) return;
    this.#shownDepth = this.mailbox.depth;
    sinks.conversation.mailbox(this.#shownDepth);
  }

  /** Shows people in the Web UI how the conversation stands. */
  showDetails(): void {
    if (this.facts === undefined) return;
    const { protocol, epoch, lastSeq, memberCount } = this.facts;
    const health = this.healthy ? 'healthy' : 'degraded';
    setCurrentDetails(
      `**${health}** · ${protocol} · ${memberCount} members · epoch ${epoch} · last seq ${lastSeq} · as of ${time(this.asOf)}`,
    );
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

function time(at: number): string {
  return new Date(at).toISOString();
}
