import type { DeviceStore } from './device-store.ts';

// What is used of IndexedDB. The types of Node, with which this library is checked too, do not have it.
interface IdbRequest<T> {
  readonly result: T;
  readonly error: unknown;
  onsuccess: (() => void) | null;
  onerror: (() => void) | null;
}
interface IdbOpenRequest extends IdbRequest<Database> {
  onupgradeneeded: (() => void) | null;
}
interface ObjectStore {
  get(key: string): IdbRequest<unknown>;
  put(value: string, key: string): IdbRequest<unknown>;
  delete(key: string): IdbRequest<unknown>;
  getAllKeys(query: unknown): IdbRequest<unknown[]>;
}
interface Transaction {
  readonly error: unknown;
  oncomplete: (() => void) | null;
  onabort: (() => void) | null;
  objectStore(name: string): ObjectStore;
}
interface Database {
  close(): void;
  createObjectStore(name: string): unknown;
  transaction(store: string, mode: 'readonly' | 'readwrite', options: { readonly durability: 'strict' }): Transaction;
}
interface Browser {
  readonly indexedDB: { open(name: string, version: number): IdbOpenRequest };
  readonly IDBKeyRange: { bound(lower: string, upper: string): unknown };
}

const ENTRIES = 'entries';
/** Sorts after every character that a key has. */
const LAST = '\uffff';

/**
 * A store in IndexedDB, for devices in browsers. It does not encrypt: whoever can read the storage of the browser can read it.
 * Two tabs must not use one store at the same time (`docs/how-to/browser.md`).
 * @param name of the database: one for each device
 */
export async function indexedDbStore(name: string): Promise<DeviceStore> {
  const { indexedDB, IDBKeyRange } = globalThis as unknown as Browser;
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(ENTRIES);
  const database = await resultOf(opening);

  const run = async <T>(mode: 'readonly' | 'readwrite', ask: (store: ObjectStore) => IdbRequest<T>): Promise<T> => {
    // `strict`: the browser reports success only when the disk has it. Otherwise a crash of the system could undo a step of MLS.
    const transaction = database.transaction(ENTRIES, mode, { durability: 'strict' });
    const done = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(errorOf(transaction.error));
    });
    const [result] = await Promise.all([resultOf(ask(transaction.objectStore(ENTRIES))), done]);
    return result;
  };
  return {
    get: async (key) => (await run('readonly', (store) => store.get(key))) as string | undefined,
    keys: async (prefix) => {
      const range = IDBKeyRange.bound(prefix, `${prefix}${LAST}`);
      return (await run('readonly', (store) => store.getAllKeys(range))) as string[];
    },
    write: async (changes) => {
      if (changes.length === 0) return;
      // One transaction: the browser makes all of it, or nothing.
      await run('readwrite', (store) => {
        const [last] = changes
          .map(([key, value]): IdbRequest<unknown> => (value === undefined ? store.delete(key) : store.put(value, key)))
          .slice(-1);
        if (last === undefined) throw new Error('nothing to write');
        return last;
      });
    },
    close: () => {
      database.close();
      return Promise.resolve();
    },
  };
}

function resultOf<T>(request: IdbRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(errorOf(request.error));
  });
}

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error('the storage of the browser failed', { cause: error });
}
