import { TokenBucket } from './token-bucket.ts';

/** At least this many updates a second get a budget, however slow everything is. */
export const FLOOR_PER_SECOND = 32;
/** The floor counts only while fewer updates than this are in flight: an update that never ends must not add up. */
const FLOOR_IN_FLIGHT = 8;
const FLOOR_RESERVE = 4;

const START_LIMIT = 8;
const RESTART_LIMIT = 2;
const MOST = 256;
/** One decision about the limit for each window. It gets longer while too few updates are answered. */
const WINDOW_MS = 500;
const LONGEST_WINDOW_MS = 2000;
const ENOUGH_SAMPLES = 8;
/** Congested: this part of the answers takes longer than so many times the answer without load, and these milliseconds. */
const SLOW_PART = 0.8;
const TOLERANCE = 2;
const TOLERANCE_MS = 8;
/** Congested too: the event loop of this process is late by so much on average. */
const LATE_LOOP_MS = 25;
const DECREASE = 0.7;
/** How fast a baseline follows a Temporal that got slower, a window. It falls at once. */
const BASELINE_RISE = 1.1;

/**
 * How many workflow updates may be in flight: AIMD on latency (additive increase, multiplicative decrease; Chiu and Jain
 * 1989), where congestion is a latency well above the latency without load (TCP Vegas, Brakmo and Peterson 1995).
 * So a Temporal that is far away is no overload, and a busy machine is one: the limit shrinks until the updates that are
 * left take no longer than they should.
 *
 * The baseline is the 10th percentile of a window: the lowest that was seen. It rises only by windows in which nobody was
 * refused. Otherwise overload itself would become the measure of no load.
 *
 * Without timers and clocks of its own; `now` is in milliseconds of a clock that never goes back.
 */
export class UpdateBudget {
  readonly #now: () => number;
  readonly #floor: TokenBucket;
  #limit = START_LIMIT;
  /** Below it the limit doubles (slow start). */
  #threshold = 0;
  #inFlight = 0;
  #baseline: number | undefined;
  #samples: number[] = [];
  #windowSince: number;
  #wasUsedUp = false;
  #refused = 0;

  constructor(now: () => number) {
    this.#now = now;
    this.#floor = new TokenBucket({ perSecond: FLOOR_PER_SECOND, reserve: FLOOR_RESERVE, now });
    this.#windowSince = now();
  }

  get limit(): number {
    return this.#limit;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Milliseconds of an answer without load; `undefined` = not known yet. */
  get baselineMs(): number | undefined {
    return this.#baseline;
  }

  /**
   * Takes a place for one update.
   * @param isCold its workflow has to be started first, which costs more: only if half of the places are free
   * @returns false when there is none
   */
  tryTake(isCold = false): boolean {
    if (isCold ? this.#inFlight < this.#limit / 2 : this.#inFlight < this.#limit) this.#floor.drain();
    else if (isCold) {
      this.#refused++;
      return false;
    } else if (!(this.#inFlight < FLOOR_IN_FLIGHT && this.#floor.tryTake())) {
      this.#refused++;
      return false;
    }
    this.#enter();
    return true;
  }

  /** Counts an update that is never refused, such as one that carries a commit. */
  take(): void {
    this.#floor.drain();
    this.#enter();
  }

  /** The update has ended, however it ended. */
  release(): void {
    this.#inFlight--;
  }

  /** An update was answered after so many milliseconds. Leave out those that are slow by their size. */
  sample(ms: number): void {
    this.#samples.push(ms);
  }

  /**
   * Looks whether the window is over, and sets the limit for the next one. Call it several times in a window.
   * @param loopDelayMs by how much the event loop of this process was late, on average
   * @returns true when the limit changed
   */
  tick(loopDelayMs: number): boolean {
    const age = this.#now() - this.#windowSince;
    if (age < WINDOW_MS || (this.#samples.length < ENOUGH_SAMPLES && age < LONGEST_WINDOW_MS)) return false;
    const before = this.#limit;
    const isLate = loopDelayMs > LATE_LOOP_MS;
    if (this.#samples.length > 0) this.#decide(isLate);
    this.#samples = [];
    this.#refused = 0;
    this.#wasUsedUp = this.#inFlight >= this.#limit;
    this.#windowSince = this.#now();
    return this.#limit !== before;
  }

  /** Temporal was away: begin small, and double until it is as before (slow start). */
  restart(): void {
    this.#threshold = Math.max(this.#threshold, this.#limit, START_LIMIT);
    this.#limit = RESTART_LIMIT;
    this.#samples = [];
    this.#windowSince = this.#now();
  }

  #enter(): void {
    this.#inFlight++;
    this.#wasUsedUp ||= this.#inFlight >= this.#limit;
  }

  #decide(isLate: boolean): void {
    const sorted = this.#samples.toSorted((a, b) => a - b);
    const baseline = this.#learn(percentile(sorted, 0.1));
    const isSlow = percentile(sorted, SLOW_PART) > baseline * TOLERANCE + TOLERANCE_MS;
    if (isSlow || isLate) {
      this.#limit = Math.max(1, Math.floor(this.#limit * DECREASE));
      this.#threshold = 0;
    } else if (this.#wasUsedUp || this.#refused > 0) {
      this.#limit = Math.min(MOST, this.#limit < this.#threshold ? this.#limit * 2 : this.#limit + 1);
    }
  }

  #learn(low: number): number {
    const known = this.#baseline ?? low;
    const mayRise = this.#refused === 0;
    return (this.#baseline = Math.min(low, mayRise ? known * BASELINE_RISE : known));
  }
}

/** @param sorted not empty */
function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
