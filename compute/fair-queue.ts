/** Something that waits for its turn. */
export interface Waiting {
  readonly user: string;
  /** Size of its input. */
  readonly bytes: number;
}

/** How much may wait. */
export interface QueueLimits {
  readonly jobs: number;
  readonly bytes: number;
  /** Part of both limits that one user may have. */
  readonly share: number;
}

interface Line<T> {
  readonly items: T[];
  bytes: number;
}

/**
 * A queue with a limit that is fair between users. Users take turns; each user's jobs keep their order. When the queue is
 * full, the user who has most in it loses the newest, so no flood costs another user a place.
 */
export class FairQueue<T extends Waiting> {
  readonly #limits: QueueLimits;
  /** The lines of users with waiting jobs, in the order of their turns. */
  readonly #lines = new Map<string, Line<T>>();
  #jobs = 0;
  #bytes = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get length(): number {
    return this.#jobs;
  }

  /** Adds a job. @returns the jobs that lose their places: none, jobs of others, or this one */
  add(item: T): T[] {
    const { jobs, bytes, share } = this.#limits;
    const own = this.#lines.get(item.user) ?? { items: [], bytes: 0 };
    // The first job of a user has a place at any size.
    const isOverShare = own.items.length + 1 > jobs * share || own.bytes + item.bytes > bytes * share;
    if (own.items.length > 0 && isOverShare) return [item];
    own.items.push(item);
    own.bytes += item.bytes;
    this.#lines.set(item.user, own);
    this.#jobs++;
    this.#bytes += item.bytes;

    const lost: T[] = [];
    while (this.#jobs > jobs) lost.push(...this.#drop((line) => line.items.length));
    while (this.#bytes > bytes && this.#jobs > 1) lost.push(...this.#drop((line) => line.bytes));
    return lost;
  }

  /** Takes the oldest job of the user whose turn it is. @param mayRun users for whom it is false are passed over */
  take(mayRun: (user: string) => boolean = () => true): T | undefined {
    for (const [user, line] of this.#lines) {
      if (!mayRun(user)) continue;
      const item = line.items.shift();
      this.#lines.delete(user);
      if (item === undefined) continue;
      this.#jobs--;
      this.#bytes -= item.bytes;
      line.bytes -= item.bytes;
      // The user's next turn comes after all others.
      if (line.items.length > 0) this.#lines.set(user, line);
      return item;
    }
    return undefined;
  }

  /** Takes everything. */
  clear(): T[] {
    const all = [...this.#lines.values()].flatMap(({ items }) => items);
    this.#lines.clear();
    this.#jobs = 0;
    this.#bytes = 0;
    return all;
  }

  /** Drops the newest job of the user who has most. */
  #drop(amount: (line: Line<T>) => number): T[] {
    let most: readonly [string, Line<T>] | undefined;
    // Of users with as much, the one whose turn is latest.
    for (const entry of this.#lines) if (most === undefined || amount(entry[1]) >= amount(most[1])) most = entry;
    const item = most?.[1].items.pop();
    if (most === undefined || item === undefined) return [];
    const [user, line] = most;
    line.bytes -= item.bytes;
    if (line.items.length === 0) this.#lines.delete(user);
    this.#jobs--;
    this.#bytes -= item.bytes;
    return [item];
  }
}
