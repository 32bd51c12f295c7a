import type { DeviceApi, DeviceStore } from '../../client/index.ts';
import { memoryStore } from '../../client/index.ts';

/** The process of a device ended. */
export class Death extends Error {
  override readonly name = 'Death';
}

/** A process that ends at one of its steps: each write to the store and each request has a step before it and one after it. */
export class Mortal {
  readonly #dies: number;
  #steps = 0;

  /** @param dies number of the step at which it ends */
  constructor(dies: number) {
    this.#dies = dies;
  }

  get isDead(): boolean {
    return this.#steps >= this.#dies;
  }

  /** Number of steps so far. */
  get steps(): number {
    return this.#steps;
  }

  store(entries: () => [string, string][]): DeviceStore & { readonly entries: () => [string, string][] } {
    const store = memoryStore(entries());
    return {
      ...store,
      get: (key) => this.#alive(() => store.get(key)),
      keys: (prefix) => this.#alive(() => store.keys(prefix)),
      write: (changes) => this.#act(() => store.write(changes)),
    };
  }

  api(api: DeviceApi): DeviceApi {
    const wrapped = Object.entries(api).map(([name, call]) => [
      name,
      (...given: unknown[]) => this.#act(() => (call as (...all: unknown[]) => Promise<unknown>)(...given)),
    ]);
    return Object.fromEntries(wrapped) as DeviceApi;
  }

  async #act<T>(act: () => Promise<T>): Promise<T> {
    this.#step();
    // The service and the disk go on when the process that asked them ends.
    const result = await this.#alive(act);
    this.#step();
    return result;
  }

  async #alive<T>(act: () => Promise<T>): Promise<T> {
    if (this.isDead) throw new Death('the process has ended');
    return act();
  }

  #step(): void {
    if (++this.#steps >= this.#dies) throw new Death('the process ends');
  }
}
