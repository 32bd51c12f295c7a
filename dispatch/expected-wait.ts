/** Weight of the newest measurement. */
const WEIGHT = 0.2;
/** What takes longer waits for something of its own, such as a locked row, and delays no others. */
const STUCK_MS = 1000;
/** A rate is measured over at least this time of full use. */
const SPAN_MS = 100;

/**
 * How long a direct batch that comes now would wait for what all conversations share: the batches in front of it, divided
 * by the rate at which they end (Little 1961). Zero while there are fewer batches than servers.
 */
export class ExpectedWait {
  readonly #servers: number;
  readonly #now: () => number;
  /** Start times, oldest first. */
  readonly #running = new Set<{ readonly since: number }>();
  /** Ends per millisecond under full use. */
  #rate: number | undefined;
  #fullSince: number | undefined;
  #ends = 0;

  /** @param servers batches that can be decided at once */
  constructor(servers: number, now: () => number = () => performance.now()) {
    this.#servers = servers;
    this.#now = now;
  }

  /** Runs a batch, and measures. */
  async measure<T>(run: () => Promise<T>): Promise<T> {
    const one = { since: this.#now() };
    this.#running.add(one);
    if (this.#running.size > this.#servers) this.#fullSince ??= this.#now();
    try {
      return await run();
    } finally {
      this.#running.delete(one);
      this.#ended();
    }
  }

  /** Milliseconds. */
  ms(): number {
    const before = this.#now() - STUCK_MS;
    let stuck = 0;
    for (const { since } of this.#running) {
      if (since > before) break;
      stuck++;
    }
    const waiting = this.#running.size - stuck - this.#servers;
    return waiting <= 0 || this.#rate === undefined ? 0 : waiting / this.#rate;
  }

  #ended(): void {
    if (this.#fullSince === undefined) return;
    this.#ends++;
    const span = this.#now() - this.#fullSince;
    const isFull = this.#running.size >= this.#servers;
    if (span >= SPAN_MS) {
      const rate = this.#ends / span;
      this.#rate = this.#rate === undefined ? rate : this.#rate * (1 - WEIGHT) + rate * WEIGHT;
      this.#fullSince = isFull ? this.#now() : undefined;
      this.#ends = 0;
    } else if (!isFull) {
      this.#fullSince = undefined;
      this.#ends = 0;
    }
  }
}
