/** The shortest wait. */
const FIRST_MS = 500;
/** The least time over which readers come back. */
const LEAST_WINDOW_MS = 3000;
const MOST_WINDOW_MS = 60_000;
/** Readers that come back in one millisecond: a thousand in a second, which other processes take without a queue. */
const READERS_PER_MS = 1;

/**
 * How long a reader should wait before it connects again, in milliseconds. It is random: when a process ends, its readers must not
 * all come back in the same second. The more there are, the longer the time over which they come.
 * @param readers open streams of the process
 */
export function retryHint(readers: number, random: () => number = Math.random): number {
  const window = Math.min(Math.max(readers / READERS_PER_MS, LEAST_WINDOW_MS), MOST_WINDOW_MS);
  return FIRST_MS + random() * window;
}
