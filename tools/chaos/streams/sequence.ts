import type { Entry } from '../../../client/index.ts';

/** What a stream brought of one conversation, and whether it kept the order. */
export interface Sequence {
  /** Takes the next entry of the current connection. @returns what is wrong with it */
  readonly take: (entry: Entry) => string | undefined;
  /** A new connection: it may begin with entries that came before, where the stream repeats. */
  readonly reconnected: () => void;
  readonly last: () => number;
  readonly first: () => number | undefined;
  /** By seq. */
  readonly entries: ReadonlyMap<number, string>;
}

/**
 * @param repeats true: at least once, as the stream of a device; false: exactly once, as the stream of a conversation
 */
export function makeSequence(repeats: boolean): Sequence {
  const entries = new Map<number, string>();
  let last = 0;
  let first: number | undefined;
  /** Of this connection. */
  let previous: number | undefined;
  return {
    entries,
    last: () => last,
    first: () => first,
    reconnected: () => (previous = undefined),
    take: ({ seq, id, ciphertext }) => {
      const before = previous;
      previous = seq;
      const bytes = `${id} ${ciphertext}`;
      const known = entries.get(seq);
      entries.set(seq, bytes);
      first ??= seq;
      const reached = last;
      last = Math.max(last, seq);
      if (known !== undefined && known !== bytes) return `entry ${seq} came with other bytes`;
      if (before !== undefined && seq !== before + 1) return `entry ${seq} came after ${before}`;
      if (before !== undefined || reached === 0) return undefined;
      if (seq > reached + 1) return `a new connection skipped from ${reached} to ${seq}`;
      return !repeats && seq <= reached ? `a new connection repeated ${seq}` : undefined;
    },
  };
}
