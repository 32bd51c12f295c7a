import type { ExecutionPath } from '../executor.ts';

const SLOT_MS = 1000;
const SLOTS = 10;

interface Slot {
  readonly second: number;
  readonly counts: Record<ExecutionPath, number>;
}

/** How many batches took which way in the last ten seconds. */
export class RecentShare {
  readonly #now: () => number;
  readonly #slots: Slot[] = [];

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  count(path: ExecutionPath): void {
    const second = Math.floor(this.#now() / SLOT_MS);
    let slot = this.#slots.at(-1);
    if (slot?.second !== second) {
      slot = { second, counts: { workflow: 0, direct: 0 } };
      this.#slots.push(slot);
      if (this.#slots.length > SLOTS) this.#slots.shift();
    }
    slot.counts[path]++;
  }

  /** @returns batches a second by the workflow, and their part of all batches (1 = no batch went direct) */
  get(): { updatesPerSecond: number; share: number } {
    const oldest = Math.floor(this.#now() / SLOT_MS) - SLOTS;
    const recent = this.#slots.filter(({ second }) => second > oldest);
    const sum = (path: ExecutionPath): number => recent.reduce((total, { counts }) => total + counts[path], 0);
    const updates = sum('workflow');
    const all = updates + sum('direct');
    return { updatesPerSecond: updates / SLOTS, share: all === 0 ? 1 : updates / all };
  }
}
