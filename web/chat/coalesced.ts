/** Work that is asked for often and done once at a time: what is asked for while it runs is done once more after it. */
export class Coalesced {
  readonly #work: () => Promise<void>;
  #running: Promise<void> | undefined;
  #isAsked = false;

  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  /** @returns settles when what was asked for is done; it never fails */
  run(): Promise<void> {
    this.#isAsked = true;
    this.#running ??= this.#runAll().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #runAll(): Promise<void> {
    while (this.#isAsked) {
      this.#isAsked = false;
      await this.#work().catch(() => undefined);
    }
  }
}
