interface Waiting {
  readonly tries: number;
  readonly start: () => void;
}

/**
 * Bounds how many statements wait for locks of conversations at a time, so that most connections of a pool stay free for
 * everybody else. Those that have waited in vain before come after the others: a lock that its holder gives back in
 * milliseconds is not behind many that an operator's session holds for minutes.
 */
export class LockWaits {
  readonly #most: number;
  #running = 0;
  #waiting: Waiting[] = [];

  /** @param most statements at a time */
  constructor(most: number) {
    this.#most = most;
  }

  /** Statements that wait for a lock, and those that wait for their turn to do so. */
  get counts(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running, waiting: this.#waiting.length };
  }

  /**
   * Runs a statement that waits for a lock.
   * @param tries how often it has waited in vain
   * @param until milliseconds since 1970; later the statement does not start
   * @returns `undefined`: it did not start
   */
  async run<T>(tries: number, until: number, statement: () => Promise<T>): Promise<T | undefined> {
    if (this.#running < this.#most) this.#running++;
    else if (!(await this.#turn(tries, until))) return undefined;
    try {
      return await statement();
    } finally {
      this.#running--;
      this.#next();
    }
  }

  /** Whether it got its turn in time; it counts as running then. */
  #turn(tries: number, until: number): Promise<boolean> {
    return new Promise((resolve) => {
      const waiting = {
        tries,
        start: () => {
          clearTimeout(timer);
          resolve(true);
        },
      };
      const giveUp = (): void => {
        this.#waiting = this.#waiting.filter((one) => one !== waiting);
        resolve(false);
      };
      const timer = setTimeout(giveUp, Math.max(0, until - Date.now()));
      this.#waiting.push(waiting);
    });
  }

  #next(): void {
    const fewest = Math.min(...this.#waiting.map(({ tries }) => tries));
    const place = this.#waiting.findIndex(({ tries }) => tries === fewest);
    const [next] = place === -1 ? [] : this.#waiting.splice(place, 1);
    if (next === undefined) return;
    this.#running++;
    next.start();
  }
}
