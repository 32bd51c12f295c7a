/**
 * Items that wait, by user. Each user's items keep their order, and users take turns: nobody waits until somebody else's many
 * items are served.
 */
export class Turns<T> {
  readonly #queues = new Map<string, T[]>();

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#queues.size === 0;
  }

  push(user: string, item: T): void {
    const queue = this.#queues.get(user);
    if (queue === undefined) this.#queues.set(user, [item]);
    else queue.push(item);
  }

  /**
   * The next items, one of each user in turn.
   * @param fits whether an item goes together with those before it; the first one is always taken
   * @param perUser most items of one user
   */
  take(fits: (item: T) => boolean, perUser = Infinity): T[] {
    const items: T[] = [];
    const counts = new Map<string, number>();
    // A user whose turn is over comes again at the end of the map, which the loop reaches.
    for (const [user, queue] of this.#queues) {
      const [item] = queue;
      const count = counts.get(user) ?? 0;
      if (item === undefined || count >= perUser) continue;
      if (!fits(item) && items.length > 0) break;
      items.push(item);
      counts.set(user, count + 1);
      queue.shift();
      this.#queues.delete(user);
      if (queue.length > 0) this.#queues.set(user, queue);
    }
    return items;
  }
}
