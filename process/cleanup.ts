/** Releases one resource. */
type Releaser = () => Promise<void> | void;

export type Releasers = {
  /** Registers the release of a resource. `name` is in the error message if the release fails. */
  add: (name: string, release: Releaser) => void;
  /**
   * Releases all resources, the newest first. Later calls wait for the same work.
   * @throws AggregateError with all failures, after every release was tried
   */
  releaseAll: () => Promise<void>;
};

/** A list of resources of a process. They are released in reverse order of their registration. */
export function createReleasers(): Releasers {
  const stack: { name: string; release: Releaser }[] = [];
  let running: Promise<void> | undefined;

  async function drain(): Promise<void> {
    const failures: Error[] = [];
    // One at a time, because a later resource may depend on an earlier one.
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
    releaseAll() {
      return (running ??= drain());
    },
  };
}
