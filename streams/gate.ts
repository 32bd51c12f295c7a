/** Runs work, a bounded number at a time; the rest waits in order. */
export type Gate = <T>(work: () => Promise<T>) => Promise<T>;

/** @param width how many run at a time */
export function makeGate(width: number): Gate {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= width) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      // Its place goes to the next in line.
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
