import type { LogEntry } from '../../domain/log-entry.ts';
import type { ChangeItem } from './changes.ts';

/**
 * A place in the log between two items: all entries up to `seq` are before it, and all changes of entry `seq` up to
 * `key`. Key 0 = none of the changes.
 */
export interface Cursor {
  readonly seq: number;
  /** Of the log at `seq` (domain/position.ts). Absent = not known. */
  readonly mark?: string | undefined;
  readonly key: number;
}

/**
 * An entry of the log, or a change of the conversation that has no entry of its own (for example a new role).
 *
 * Streams need both in one order, because account streams deliver changes between the entries. A change of seq s comes
 * after entry s, ordered by key, and before entry s + 1: both are written under the conversation's lock.
 */
export type LogItem = EntryItem | ChangeItem;

interface EntryItem {
  readonly type: 'entry';
  readonly seq: number;
  readonly key: 0;
  readonly entry: LogEntry;
}

export function isAfter(one: Cursor, other: Cursor): boolean {
  return one.seq > other.seq || (one.seq === other.seq && one.key > other.key);
}

/** A list of one read, in order of seq. `isCut`: the list ended at its limit, so there may be more. */
interface Listed<T> {
  readonly items: readonly T[];
  readonly isCut: boolean;
}

/**
 * Merges entries and changes into one order. Where one list was cut, the items of the other list after that point are left
 * out: the next read brings them, in order.
 */
export function mergeInOrder(entries: Listed<LogEntry>, changes: Listed<ChangeItem>): LogItem[] {
  const lastEntry = endOf(entries);
  const lastChange = endOf(changes);
  const merged: LogItem[] = [];
  let next = 0;
  const addChangesBefore = (seq: number): void => {
    for (let item = changes.items[next]; item !== undefined && item.seq < seq; item = changes.items[++next]) {
      if (item.seq <= lastEntry) merged.push(item);
    }
  };
  for (const entry of entries.items) {
    addChangesBefore(entry.seq);
    if (entry.seq <= lastChange) merged.push({ type: 'entry', seq: entry.seq, key: 0, entry });
  }
  addChangesBefore(Infinity);
  return merged;
}

/** Last seq that a list covers; Infinity when the list is complete. */
function endOf({ items, isCut }: Listed<{ readonly seq: number }>): number {
  const last = items.at(-1);
  return isCut && last !== undefined ? last.seq : Infinity;
}
