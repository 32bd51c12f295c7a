import type { ReceivedMessage } from '../storage/group-store.ts';
import type { DeviceStore } from '../storage/device-store.ts';

/** What was unread up to an entry of the log. Every message of others after it is unread too. */
interface Count {
  readonly upTo: number;
  readonly unread: number;
}

const PREFIX = 'chat/unread/';

/**
 * What the user has not read. The service counts up to an entry; this device counts what it reads after that entry. So no message counts
 * twice, in whatever order a list of conversations and the entries arrive.
 */
export class Unread {
  readonly #store: DeviceStore;
  readonly #user: string;
  readonly #counts = new Map<string, Count>();

  constructor(store: DeviceStore, user: string) {
    this.#store = store;
    this.#user = user;
  }

  async load(): Promise<void> {
    for (const key of await this.#store.keys(PREFIX)) {
      const text = await this.#store.get(key);
      if (text !== undefined) this.#counts.set(key.slice(PREFIX.length), JSON.parse(text) as Count);
    }
  }

  /** The service says that so many messages up to this entry are unread. */
  async take(conversation: string, count: Count): Promise<void> {
    const { upTo, unread } = this.#counts.get(conversation) ?? {};
    if (upTo === count.upTo && unread === count.unread) return;
    this.#counts.set(conversation, count);
    await this.#store.write([[`${PREFIX}${conversation}`, JSON.stringify(count)]]);
  }

  /** The log ends after this entry now. */
  async lose(conversation: string, agreed: number): Promise<void> {
    const known = this.#counts.get(conversation);
    if (known !== undefined && known.upTo > agreed) await this.take(conversation, { ...known, upTo: agreed });
  }

  /** @param history in the order of the log */
  of(conversation: string, history: readonly ReceivedMessage[]): number {
    const { upTo, unread } = this.#counts.get(conversation) ?? { upTo: 0, unread: 0 };
    let after = 0;
    for (let i = history.length - 1; i >= 0; i--) {
      const message = history[i];
      if (message === undefined) break;
      if (message.lost !== undefined) continue;
      if (message.seq <= upTo) break;
      if (message.sender !== this.#user) after++;
    }
    return unread + after;
  }
}
