import type { LifeEvent, LifeOperation } from '../../domain/life-event.ts';
import { event } from '../event.ts';
import { KEPT_ENTRIES } from './log-news.ts';
import { type LifeSource, type LookListener, Looker } from './looker.ts';
import { KEPT_ACTIONS } from './supervisor-news.ts';

/** Of each type, so many of the newest events are kept for streams that open later; of a type that is not here, none. */
const KEPT: Readonly<Partial<Record<LifeEvent['type'], number>>> = {
  head: 1,
  workflow: 1,
  supervisor: KEPT_ACTIONS,
  entry: KEPT_ENTRIES,
  history: 50,
  operation: 50,
};
/** After an operation, others wait for so long; of them, the newest are told. */
const COLLECT_MS = 100;
const MOST_OPERATIONS = 50;

/** Gets the text of each event. */
export type LifeListener = (text: string) => void;

export interface LifeFeedDeps {
  /** Makes the sources of a conversation. */
  readonly sourcesOf: (conversation: string) => readonly LifeSource[];
  /** @returns ends the watch */
  readonly watchOperations: (conversation: string, listener: (operation: LifeOperation) => void) => () => void;
  readonly onError: (conversation: string, error: Error) => void;
  /** There is no such conversation any more. */
  readonly onGone: (conversation: string) => void;
}

/** All that is told of one conversation. However many streams there are, it reads once for all of them. */
export class LifeFeed {
  readonly #lookers: readonly Looker[];
  readonly #listeners = new Set<LifeListener>();
  readonly #stopOperations: () => void;
  /** The texts of the newest events, by type; an event that replaces another one has its key. */
  readonly #kept = new Map<LifeEvent['type'], Map<string | number, string>>();
  readonly #troubles = new Map<string, string>();
  #count = 0;
  /** Operations that wait. */
  #operations: LifeOperation[] = [];
  #collecting: ReturnType<typeof setTimeout> | undefined;

  constructor(conversation: string, { sourcesOf, watchOperations, onError, onGone }: LifeFeedDeps) {
    const listener: LookListener = {
      tell: (one) => this.#tell(one),
      onError: (error) => onError(conversation, error),
      onGone: () => onGone(conversation),
    };
    this.#lookers = sourcesOf(conversation).map((source) => new Looker(source, listener));
    this.#stopOperations = watchOperations(conversation, (operation) => {
      this.#operations.push(operation);
      if (this.#collecting === undefined) this.#tellOperations();
      else if (this.#operations.length > MOST_OPERATIONS) this.#operations.shift();
      this.wake();
    });
  }

  get isIdle(): boolean {
    return this.#listeners.size === 0;
  }

  /** Something happened in the conversation. */
  wake(): void {
    for (const looker of this.#lookers) looker.wake();
  }

  /** Adds a listener, which gets the newest events at once. */
  add(listener: LifeListener): void {
    this.#listeners.add(listener);
    for (const text of this.#troubles.values()) listener(text);
    for (const type of Object.keys(KEPT) as LifeEvent['type'][]) {
      for (const text of this.#kept.get(type)?.values() ?? []) listener(text);
    }
  }

  delete(listener: LifeListener): void {
    this.#listeners.delete(listener);
  }

  stop(): void {
    this.#stopOperations();
    clearTimeout(this.#collecting);
    for (const looker of this.#lookers) looker.stop();
  }

  /** A log may take thousands in a second. */
  #tellOperations(): void {
    const operations = this.#operations;
    this.#operations = [];
    this.#collecting = operations.length === 0 ? undefined : setTimeout(() => this.#tellOperations(), COLLECT_MS);
    for (const operation of operations) this.#tell(operation);
  }

  #tell(one: LifeEvent): void {
    const text = event(one.type, { ...one });
    this.#keep(one, text);
    for (const listener of [...this.#listeners]) listener(text);
  }

  #keep(one: LifeEvent, text: string): void {
    if (one.type === 'trouble') this.#troubles.set(one.part, text);
    if (one.type === 'recovered') this.#troubles.delete(one.part);
    if (one.type === 'log-restarted') this.#kept.delete('entry');
    const most = KEPT[one.type] ?? 0;
    if (most === 0) return;
    const texts = this.#kept.get(one.type) ?? new Map<string | number, string>();
    this.#kept.set(one.type, texts);
    texts.set(one.type === 'entry' ? one.seq : ++this.#count, text);
    for (const key of texts.keys()) {
      if (texts.size <= most) break;
      texts.delete(key);
    }
  }
}
