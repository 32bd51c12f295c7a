/** A lock that one tab or worker of an origin holds: Web Locks. */
export interface Locks {
  /**
   * Waits for the lock, and holds it until the task ends. It is also free when the tab that holds it is gone.
   * @param signal ends the wait
   */
  readonly hold: (name: string, task: () => Promise<void>, signal: AbortSignal) => Promise<void>;
  /** The same, unless somebody holds it. @returns whether the task ran */
  readonly tryHold: (name: string, task: () => Promise<void>) => Promise<boolean>;
}

// What is used of Web Locks. The types of Node, with which this library is checked too, do not have it.
interface LockManager {
  request(
    name: string,
    options: { readonly signal?: AbortSignal; readonly ifAvailable?: boolean },
    task: (lock: unknown) => Promise<void>,
  ): Promise<void>;
}

/** The locks of the browser. They need a secure context. */
export function webLocks(): Locks {
  const { navigator } = globalThis as unknown as { readonly navigator: { readonly locks: LockManager } };
  const { locks } = navigator;
  return {
    hold: (name, task, signal) => locks.request(name, { signal }, task),
    tryHold: async (name, task) => {
      let hasRun = false;
      await locks.request(name, { ifAvailable: true }, async (lock) => {
        if (lock === null) return;
        hasRun = true;
        await task();
      });
      return hasRun;
    },
  };
}
