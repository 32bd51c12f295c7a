/**
 * Where a device keeps what has to outlive a crash: keys of its own, group states, messages. An app puts this on its
 * database; the values are secrets, so it encrypts them at rest.
 */
export interface DeviceStore {
  get(key: string): Promise<string | undefined>;
  /** Returns once the value is durable. */
  set(key: string, value: string): Promise<void>;
  delete(key: string): Promise<void>;
  /** Keys that start with `prefix`. */
  keys(prefix: string): Promise<string[]>;
}

/** A store for tests and for devices that live as long as their process. */
export function memoryStore(entries: Iterable<readonly [string, string]> = []): DeviceStore & {
  /** All that a crash would leave. */
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
