import type { Signal } from '../store/signal/signals.ts';
import { event } from './event.ts';

/** Signals of one conversation as streams send them. Each text is made once, and goes to many streams. */
export class SignalBatch {
  readonly signals: readonly Signal[];
  #forConversation: string | undefined;
  #forAccount: string | undefined;

  constructor(signals: readonly Signal[]) {
    this.signals = signals;
  }

  /** Text for the stream of one conversation. */
  get forConversation(): string {
    return (this.#forConversation ??= this.#text(({ data, sender }) => ({ data, ...named(sender) })));
  }

  /** Text for account streams. */
  get forAccount(): string {
    return (this.#forAccount ??= this.#text(({ conversation, data, sender }) => ({
      conversation,
      data,
      ...named(sender),
    })));
  }

  #text(dataOf: (signal: Signal) => Readonly<Record<string, unknown>>): string {
    return this.signals.map((signal) => event('signal', dataOf(signal))).join('');
  }
}

function named(sender: string | undefined): { readonly sender?: string } {
  return sender === undefined ? {} : { sender };
}
