import { messageOf } from './message-of.ts';
/** Releases one resource. */
type Release = () => Promise<void> | void;

export type Cleanup = {
  /** Registers the release of a resource. `name` is in the error message if the release fails. */
  add: (name: string, release: Release) => void;
  /**
   * Releases all resources, the newest first. Later calls wait for the same work.
   * @throws AggregateError with all failures, after every release was tried
   */
  run: () => Promise<void>;
};

/** A list of resources of a process. They are released in reverse order of their registration. */
export function createCleanup(): Cleanup {
  const stack: { name: string; release: Release }[] = [];
  let running: Promise<void> | undefined;

  async function drain(): Promise<void> {
    const failures: Error[] = [];
    // One at a time, because a later resource may depend on an earlier one.
    for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
      try {
        await entry.release();
      } catch (cause) {
        failures.push(new Error(`${entry.name}: ${messageOf(cause)}`, { cause }));
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
