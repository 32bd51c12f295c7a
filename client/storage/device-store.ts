/**
 * Storage for everything of a device that must survive a crash: its keys, group states and messages. An app implements it
 * with its database. The values contain secrets, so the app encrypts them at rest.
 */
export interface DeviceStore {
  get(key: string): Promise<string | undefined>;
  /** Returns when the value is durable. */
  set(key: string, value: string): Promise<void>;
  delete(key: string): Promise<void>;
  /** Keys that start with `prefix`. */
  keys(prefix: string): Promise<string[]>;
}

/** A store in memory, for tests and for devices that live no longer than their process. */
export function memoryStore(entries: Iterable<readonly [string, string]> = []): DeviceStore & {
  /** Everything in the store: what a device still has after a crash. */
  readonly entries: () => [string, string][];
} {
  const map = new Map<string, string>(entries);
  return {
    get: (key) => Promise.resolve(map.get(key)),
    set: (key, value) => Promise.resolve(void map.set(key, value)),
    delete: (key) => Promise.resolve(void map.delete(key)),
    keys: (prefix) => Promise.resolve([...map.keys()].filter((key) => key.startsWith(prefix))),
    entries: () => [...map],
  };
}
