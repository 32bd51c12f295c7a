import { createHash } from 'node:crypto';

/** What one key used in its current window. */
export interface Used {
  amount: number;
  /** Milliseconds since 1970: the end of the window. */
  readonly resetAt: number;
  /** Names the key in headers, and does not tell it. */
  readonly partition: string;
}

/** Counts amounts by key. The window of a key begins with its first amount. */
export interface WindowCounter {
  /** The current window of a key. */
  readonly of: (key: string) => Used;
}

/**
 * A counter in memory. Keys that were not used for two windows are forgotten: they move from the new map to the old one, and
 * then they are gone. So there is no timer, and no step takes longer than any other.
 */
export function makeWindowCounter(windowMs: number): WindowCounter {
  let young = new Map<string, Used>();
  let old = new Map<string, Used>();
  let turnedAt = Date.now();

  return {
    of: (key) => {
      const now = Date.now();
      if (now - turnedAt >= windowMs) {
        old = now - turnedAt >= 2 * windowMs ? new Map<string, Used>() : young;
        young = new Map();
        turnedAt = now;
      }
      const known = young.get(key) ?? old.get(key);
      const used =
        known !== undefined && known.resetAt > now
          ? known
          : { amount: 0, resetAt: now + windowMs, partition: known?.partition ?? partitionOf(key) };
      young.set(key, used);
      return used;
    },
  };
}

/** The partition key of draft-ietf-httpapi-ratelimit-headers-08 §3.1.3, in base64. */
function partitionOf(key: string): string {
  const name = createHash('sha256').update(key).digest('hex').slice(0, 12);
  return Buffer.from(name).toString('base64');
}
