/** Gives one resource back. */
type Release = () => Promise<void> | void;

export type Cleanup = {
  /** Remembers how to give a resource back; `name` stands in the message if that fails. */
  add: (name: string, release: Release) => void;
  /** Gives everything back, the newest first; later calls wait for the same work. All failures come out as one AggregateError. */
  run: () => Promise<void>;
};

/** A stack of clean-ups, run in reverse order of their registration. */
export function createCleanup(): Cleanup {
  const stack: { name: string; release: Release }[] = [];
  let running: Promise<void> | undefined;

  async function drain(): Promise<void> {
    const failures: Error[] = [];
    // One at a time: what was started later depends on what was started before it.
    for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
      try {
        await entry.release();
      } catch (cause) {
        failures.push(new Error(`${entry.name}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause }));
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map(({ message }) => message).join('; '));
  }

  return {
    add(name, release) {
      stack.push({ name, release });
    },
    run() {
      return (running ??= drain());
    },
  };
}
