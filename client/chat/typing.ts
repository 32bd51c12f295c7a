import { sleep } from '../platform/sleep.ts';

/** What a signal says, as JSON. Other signals of an app have other types. */
const TYPING = JSON.stringify({ type: 'typing' });
/** One signal in this time is enough ... */
const EVERY_MS = 3_000;
/** ... because others show it for longer. */
const SHOWN_MS = 6_000;

/** The signal that says that its sender is typing. */
export const typingSignal = (): Uint8Array => new TextEncoder().encode(TYPING);

export function isTyping(data: Uint8Array): boolean {
  return new TextDecoder().decode(data) === TYPING;
}

/** Who is typing in which conversation, and when this device said it last. */
export class Typing {
  readonly #users = new Map<string, Map<string, number>>();
  readonly #said = new Map<string, number>();
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Users who are typing. */
  in(conversation: string): readonly string[] {
    return [...(this.#users.get(conversation)?.keys() ?? [])];
  }

  /** Is it time to say it again? Then it counts as said. */
  shallSay(conversation: string, now = Date.now()): boolean {
    if (now - (this.#said.get(conversation) ?? -Infinity) < EVERY_MS) return false;
    this.#said.set(conversation, now);
    return true;
  }

  /** The user is typing, for some seconds. */
  begins(conversation: string, user: string): void {
    const users = this.#users.get(conversation) ?? new Map<string, number>();
    this.#users.set(conversation, users);
    const end = Date.now() + SHOWN_MS;
    users.set(user, end);
    this.#onChange();
    void sleep(SHOWN_MS).then(() => {
      if (users.get(user) === end) this.ends(conversation, user);
    });
  }

  /** A message of the user came, or nothing more. */
  ends(conversation: string, user: string): void {
    if (this.#users.get(conversation)?.delete(user) === true) this.#onChange();
  }
}
