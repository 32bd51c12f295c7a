import { MAX_WAITING_SIGNALS, MAX_WAITING_SIGNAL_CHARACTERS } from '../domain/limits.ts';
import type { Metrics } from '../process/metrics.ts';
import { isAfter } from '../store/log/log-items.ts';
import type { Signal } from '../store/signal/signals.ts';
import type { Feed } from './feed.ts';
import type { Feeds } from './feeds.ts';
import { SignalBatch } from './signal-batch.ts';
import type { Subscription } from './subscription.ts';

/** Time for signals in one go, after which everything else has its turn. */
const SLICE_MS = 2;
/** Pause between two goes. Signals that come meanwhile go together into one write. */
const PAUSE_MS = 20;
/** The pause is at least so many times the work before it: signals have at most a quarter of the event loop. */
const REST = 3;
/** Streams between two looks at the clock. */
const CHUNK = 32;
/**
 * Characters of signals in one write. A reader that has taken nothing of more than 16 KB counts as slow until it has, and its entries
 * wait; no signals may bring that about.
 */
const MAX_WRITE = 8192;

export interface SignalsDeps {
  readonly feeds: Pick<Feeds, 'of'>;
  readonly metrics: Pick<Metrics, 'signalsDelivered' | 'signalsDropped'>;
  /** The process has more work than it can do in time: signals are dropped. */
  readonly isOverloaded: () => boolean;
  /** Milliseconds. @default `performance.now` */
  readonly now?: () => number;
  /** @default `setTimeout` */
  readonly later?: (task: () => void, ms: number) => void;
}

/**
 * Writes signals to the open streams of this process, when nothing else has to be done. A signal goes to those who have come to
 * where the log ended when it was sent: so entries come before it, who was removed does not get it, and who is behind, or reads
 * slowly, goes without. Whatever waits is bounded.
 */
export class Signals {
  readonly #deps: SignalsDeps;
  readonly #now: () => number;
  readonly #later: (task: () => void, ms: number) => void;
  /** What may be written, by feed; the feed that waits longest comes first. */
  readonly #ready = new Map<Feed, Signal[]>();
  /** Characters of all that waits, also for a read of the log. */
  #waiting = 0;
  /** The round at work: one write for each stream of the feeds that were ready when it began. */
  #round: Generator<void, void, void> | undefined;

  constructor(deps: SignalsDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? ((): number => performance.now());
    this.#later = deps.later ?? ((task, ms): void => void setTimeout(task, ms));
  }

  /** Takes a signal of any process. */
  receive(signal: Signal): void {
    const feed = this.#deps.feeds.of(signal.conversation);
    if (feed === undefined) return;
    if (this.#deps.isOverloaded()) {
      this.#deps.metrics.signalsDropped('overload', 1);
    } else if (this.#waiting + signal.data.length > MAX_WAITING_SIGNAL_CHARACTERS) {
      this.#deps.metrics.signalsDropped('queue', 1);
    } else {
      this.#waiting += signal.data.length;
      if (feed.isBefore(signal.after)) feed.afterNextRead(() => this.#add(feed, signal));
      else this.#add(feed, signal);
    }
  }

  #add(feed: Feed, signal: Signal): void {
    const ready = this.#ready.get(feed) ?? [];
    this.#ready.set(feed, ready);
    ready.push(signal);
    if (ready.length > MAX_WAITING_SIGNALS) {
      this.#release(ready.splice(0, 1));
      this.#deps.metrics.signalsDropped('queue', 1);
    }
    if (this.#round !== undefined) return;
    this.#round = this.#makeRound();
    this.#later(() => this.#work(), 0);
  }

  #work(): void {
    const startedAt = this.#now();
    let isDone = this.#round?.next().done === true;
    while (!isDone && this.#now() - startedAt < SLICE_MS) isDone = this.#round?.next().done === true;
    if (isDone) this.#round = this.#ready.size === 0 ? undefined : this.#makeRound();
    if (this.#round === undefined) return;
    this.#later(() => this.#work(), Math.max(PAUSE_MS, REST * (this.#now() - startedAt)));
  }

  *#makeRound(): Generator<void, void, void> {
    for (const feed of [...this.#ready.keys()]) {
      const signals = this.#take(feed);
      yield* this.#deliver(feed, signals);
      this.#release(signals);
    }
  }

  /** The next signals of a feed, as many as go into one write. Those that stay wait behind the other feeds. */
  #take(feed: Feed): Signal[] {
    const ready = this.#ready.get(feed) ?? [];
    this.#ready.delete(feed);
    let characters = 0;
    let count = 0;
    for (const { data } of ready) {
      if (count > 0 && characters + data.length > MAX_WRITE) break;
      characters += data.length;
      count++;
    }
    if (count < ready.length) this.#ready.set(feed, ready.slice(count));
    return ready.slice(0, count);
  }

  *#deliver(feed: Feed, signals: readonly Signal[]): Generator<void, void, void> {
    const all = new SignalBatch(signals);
    let delivered = 0;
    let visited = 0;
    for (const subscription of feed.subscriptions) {
      const batch = forSubscription(all, subscription);
      if (batch !== undefined) subscription.deliverSignals(batch);
      delivered += batch?.signals.length ?? 0;
      visited++;
      if (visited % CHUNK === 0) yield;
    }
    this.#deps.metrics.signalsDelivered(delivered);
    if (delivered < visited * signals.length) {
      this.#deps.metrics.signalsDropped('reader', visited * signals.length - delivered);
    }
    yield;
  }

  #release(signals: readonly Signal[]): void {
    for (const { data } of signals) this.#waiting -= data.length;
  }
}

/** Those of the signals that this subscription gets. `undefined` = none: it is behind, or its reader is. */
function forSubscription(all: SignalBatch, subscription: Subscription): SignalBatch | undefined {
  if (!subscription.live || !subscription.isReady) return undefined;
  const signals = all.signals.filter(({ after }) => !isAfter(after, subscription));
  if (signals.length === all.signals.length) return all;
  return signals.length === 0 ? undefined : new SignalBatch(signals);
}
