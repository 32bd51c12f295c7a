import { LRUCache } from 'lru-cache';

/** Milliseconds. Work is shed when it would have to wait longer than this. */
export const TARGET_WAIT_MS = 100;
/** The wait must stand for this time. A pause for garbage collection, or one long job, sheds nothing. */
const STANDS_MS = 100;
/** Pause between two changes of the level. */
const STEP_MS = 100;
const DECREASE = 0.9;
const INCREASE = 1.04;
/** While hardly anything waits: a short overload must not leave the process idle for long. */
const FAST_INCREASE = 1.2;
/** What a user did counts less by the factor e after this time. */
const MEMORY_MS = 1000;
/** Below this level, new users are refused too: there are too many of them. */
const LOWEST_LEVEL = 0.02;
/** Work that is shed last passes until the wait is so many times too long. */
const SEVERE = 4;
/** Users in memory. Who was forgotten counts as new. */
const MOST_USERS = 10_000;

/**
 * When work is shed: signals as soon as anything waits too long, then messages and reads, commits and changes of members last,
 * health and streams never.
 */
export type Shedding = 'soonest' | 'first' | 'last' | 'never';

interface Work {
  /** Work in about the last second: what was asked for, and what was let in. */
  offered: number;
  admitted: number;
  at: number;
}

export interface LoadShedderOptions {
  /** Milliseconds. @default `performance.now` */
  readonly now?: () => number;
  /** From 0 to 1. @default `Math.random` */
  readonly random?: () => number;
}

/**
 * Decides what an overloaded process does not begin. It has one number, the level: how much work in a second each user may
 * have. While the expected wait stands above its target the level goes down, otherwise up, both by a factor (as in AIMD). One
 * level for all is max-min fair: whoever asks for less than the level gets all of it, and only the others are cut.
 * While there is no overload, there is no level.
 */
export class LoadShedder {
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #users = new LRUCache<string, Work>({ max: MOST_USERS });
  #level = Infinity;
  #wait = 0;
  #aboveSince: number | undefined;
  #steppedAt = 0;

  constructor({ now = () => performance.now(), random = Math.random }: LoadShedderOptions = {}) {
    this.#now = now;
    this.#random = random;
  }

  /** Work in a second that each user may have now; `Infinity` = nothing is shed. */
  get level(): number {
    return this.#level;
  }

  /** Work is shed, or waits too long already. */
  get isOverloaded(): boolean {
    return this.#level < Infinity || this.#wait > TARGET_WAIT_MS;
  }

  /** Takes the expected wait in milliseconds. To be called many times in a second. */
  sample(waitMs: number): void {
    const now = this.#now();
    this.#wait = waitMs;
    this.#aboveSince = waitMs > TARGET_WAIT_MS ? (this.#aboveSince ?? now) : undefined;
    if (now - this.#steppedAt < STEP_MS) return;
    this.#steppedAt = now;
    if (this.#stands()) this.#level = Math.max(LOWEST_LEVEL, Math.min(this.#level, this.#most('admitted')) * DECREASE);
    else if (this.#aboveSince === undefined) this.#rise();
  }

  /**
   * Whether work may begin.
   * @param amount 1 for an ordinary request
   */
  admits(user: string, shedding: Shedding, amount: number): boolean {
    if (shedding === 'never') return true;
    const now = this.#now();
    const known = this.#users.get(user);
    const work = known === undefined ? { offered: 0, admitted: 0, at: now } : forget(known, now);
    if (known === undefined) this.#users.set(user, work);
    work.offered += amount;
    if (this.#sheds(work, shedding)) return false;
    work.admitted += amount;
    return true;
  }

  #sheds({ admitted }: Work, shedding: Shedding): boolean {
    if (shedding === 'soonest') return this.isOverloaded;
    if (this.#level === Infinity) return false;
    if (shedding === 'last' && !(this.#stands() && this.#wait > SEVERE * TARGET_WAIT_MS)) return false;
    if (admitted >= this.#level) return true;
    // So many users that no level is low enough.
    return this.#level <= LOWEST_LEVEL && this.#stands() && this.#random() > TARGET_WAIT_MS / this.#wait;
  }

  #stands(): boolean {
    return this.#aboveSince !== undefined && this.#now() - this.#aboveSince >= STANDS_MS;
  }

  #rise(): void {
    if (this.#level === Infinity) return;
    this.#level *= this.#wait < TARGET_WAIT_MS / 10 ? FAST_INCREASE : INCREASE;
    // Nobody asks for as much as it allows.
    if (this.#level > this.#most('offered')) this.#level = Infinity;
  }

  #most(what: 'offered' | 'admitted'): number {
    const now = this.#now();
    let most = 0;
    for (const work of this.#users.values()) most = Math.max(most, forget(work, now)[what]);
    return most;
  }
}

function forget(work: Work, now: number): Work {
  const factor = Math.exp((work.at - now) / MEMORY_MS);
  work.offered *= factor;
  work.admitted *= factor;
  work.at = now;
  return work;
}
