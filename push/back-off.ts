const FIRST_MS = 5000;
const LONGEST_MS = 10 * 60_000;
const LONGEST_ASKED_MS = 6 * 3_600_000;

/**
 * How long a failing target waits for its next try: twice as long each time, with jitter, and at least as long as its service asks.
 * @param attempts tries that failed before this one
 * @param askedMs `Retry-After`
 */
export function backOff(attempts: number, askedMs: number | undefined, random = Math.random): number {
  const full = Math.min(FIRST_MS * 2 ** Math.min(attempts, 20), LONGEST_MS);
  return Math.round(Math.max(full * (0.75 + 0.5 * random()), Math.min(askedMs ?? 0, LONGEST_ASKED_MS)));
}
