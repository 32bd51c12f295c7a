import type { DeviceStore, StoreChange } from '../storage/device-store.ts';
import { ChatClosedError } from './closed.ts';

/** The store of one chat. Once it is closed it takes nothing more: what comes late must not write over what the next program has. */
export class ChatStore implements DeviceStore {
  readonly #store: DeviceStore;
  #isClosed = false;
  #closing: Promise<void> | undefined;

  constructor(store: DeviceStore) {
    this.#store = store;
  }

  get(key: string): Promise<string | undefined> {
    return this.#store.get(key);
  }

  keys(prefix: string): Promise<string[]> {
    return this.#store.keys(prefix);
  }

  write(changes: readonly StoreChange[]): Promise<void> {
    return this.#isClosed ? Promise.reject(new ChatClosedError()) : this.#store.write(changes);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#closing ??= this.#store.close?.() ?? Promise.resolve();
    return this.#closing;
  }

  /** Closes it, and leaves nothing in it. */
  async erase(): Promise<void> {
    this.#isClosed = true;
    const keys = await this.#store.keys('');
    await this.#store.write(keys.map((key) => [key, undefined]));
    await this.close();
  }
}
