/** A rate with a small reserve (token bucket): so many a second, and at most `reserve` at once after a pause. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #reserve: number;
  readonly #now: () => number;
  #tokens: number;
  #filledAt: number;

  /** @param now milliseconds of a clock that never goes back */
  constructor(options: { readonly perSecond: number; readonly reserve: number; readonly now: () => number }) {
    this.#perMs = options.perSecond / 1000;
    this.#reserve = options.reserve;
    this.#now = options.now;
    this.#tokens = options.reserve;
    this.#filledAt = options.now();
  }

  /** Takes a token if there is one. */
  tryTake(): boolean {
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Takes a token for something that happens in any case. */
  drain(): void {
    this.#fill();
    this.#tokens = Math.max(0, this.#tokens - 1);
  }

  #fill(): void {
    const now = this.#now();
    this.#tokens = Math.min(this.#reserve, this.#tokens + (now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
  }
}
