// A store in a folder, for devices in Node. It is an entry of its own: browsers have no files, and an app that uses it has
// classic-level among its dependencies.
import { ClassicLevel } from 'classic-level';
import type { DeviceStore } from '../storage/device-store.ts';

/** Sorts after every character that a key has. */
const LAST = '\uffff';

/**
 * A store in a folder (LevelDB). Each write is on disk when it returns. It does not encrypt: who can read the folder can read it.
 * @throws Error `LEVEL_DATABASE_NOT_OPEN` if another process has the folder open
 */
export async function fileStore(folder: string): Promise<DeviceStore> {
  const database = new ClassicLevel<string, string>(folder);
  await database.open();
  return {
    get: (key) => database.get(key),
    keys: (prefix) => database.keys({ gte: prefix, lt: `${prefix}${LAST}` }).all(),
    write: (changes) =>
      database.batch(
        changes.map(([key, value]) =>
          value === undefined ? ({ type: 'del', key } as const) : ({ type: 'put', key, value } as const),
        ),
        { sync: true },
      ),
    close: () => database.close(),
  };
}
