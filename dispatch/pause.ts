/** Waits `ms` milliseconds, but not beyond `deadline`. */
export function pause(ms: number, deadline = Infinity): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, Math.min(ms, deadline - Date.now()))));
}

/** A random time between two limits in milliseconds, so that waiting requests do not all come back at once. */
export function jitter(lowMs: number, highMs: number): number {
  return lowMs + Math.random() * (highMs - lowMs);
}
