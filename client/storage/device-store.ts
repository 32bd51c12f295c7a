/** A key gets this value; `undefined`: it has none any more. */
export type StoreChange = readonly [key: string, value: string | undefined];

/**
 * Storage for everything of a device that must survive a crash: its keys, group states and messages. An app implements it
 * with its database. The values contain secrets, so the app encrypts them at rest. At most one process uses a store at a time.
 */
export interface DeviceStore {
  /** The value of a key; `undefined`: it has none. */
  get(key: string): Promise<string | undefined>;
  /** Keys that start with `prefix`. */
  keys(prefix: string): Promise<string[]>;
  /**
   * Makes all changes or none, also if the process ends meanwhile. Returns when they are durable. Of two changes of one key the
   * later one counts.
   */
  write(changes: readonly StoreChange[]): Promise<void>;
  /** Frees what the store holds: a lock, a connection. */
  close?(): Promise<void>;
}

/** A store in memory, for tests and for devices that live no longer than their process. */
export function memoryStore(entries: Iterable<readonly [string, string]> = []): DeviceStore & {
  /** Everything in the store: what a device still has after a crash. */
  readonly entries: () => [string, string][];
} {
  const map = new Map<string, string>(entries);
  return {
    get: (key) => Promise.resolve(map.get(key)),
    keys: (prefix) => Promise.resolve([...map.keys()].filter((key) => key.startsWith(prefix))),
    write: (changes) => {
      for (const [key, value] of changes) {
        if (value === undefined) map.delete(key);
        else map.set(key, value);
      }
      return Promise.resolve();
    },
    entries: () => [...map],
  };
}
