import { expect, test } from 'vitest';
import type { LogEntry } from '../../../domain/log-entry.ts';
import type { ChangeItem } from '../../../store/log/changes.ts';
import { isAfter, mergeInOrder } from '../../../store/log/log-items.ts';

const entry = (seq: number): LogEntry => {
  const rest = { epoch: 0, ciphertext: null, sender: null, at: new Date(0), sha256: new Uint8Array(32), chain: null };
  return { seq, kind: 'application', id: `id-${seq}`, isDeleted: false, ...rest };
};
const change = (seq: number, key: number): ChangeItem => {
  return { type: 'change', seq, key, change: { kind: 'reset-open' } };
};
const order = (
  entries: { seqs: number[]; isCut?: boolean },
  changes: { places: [seq: number, key: number][]; isCut?: boolean },
): string =>
  mergeInOrder(
    { items: entries.seqs.map(entry), isCut: entries.isCut ?? false },
    { items: changes.places.map(([seq, key]) => change(seq, key)), isCut: changes.isCut ?? false },
  )
    .map((item) => (item.type === 'entry' ? String(item.seq) : `${item.seq}.${item.key}`))
    .join(' ');

test('changes of a seq come after its entry, by key, and before the next entry', () => {
  const places: [number, number][] = [
    [0, 1],
    [1, 4],
    [1, 5],
    [3, 9],
  ];
  expect(order({ seqs: [1, 2, 3] }, { places })).toBe('0.1 1 1.4 1.5 2 3 3.9');
  expect(order({ seqs: [] }, { places: [[7, 2]] })).toBe('7.2');
  expect(order({ seqs: [1, 2] }, { places: [] })).toBe('1 2');
});

test('nothing after the end of a list that was cut is in the result', () => {
  expect(order({ seqs: [1, 2], isCut: true }, { places: [[1, 1], [2, 2], [3, 3]] })).toBe('1 1.1 2 2.2'); // prettier-ignore
  expect(order({ seqs: [1, 2, 3] }, { places: [[1, 1], [2, 2]], isCut: true })).toBe('1 1.1 2 2.2'); // prettier-ignore
});

test('a cursor is after another by seq, then by key', () => {
  expect(isAfter({ seq: 2, key: 0 }, { seq: 1, key: 9 })).toBe(true);
  expect(isAfter({ seq: 1, key: 2 }, { seq: 1, key: 1 })).toBe(true);
  expect(isAfter({ seq: 1, key: 1 }, { seq: 1, key: 1 })).toBe(false);
  expect(isAfter({ seq: 1, key: 9 }, { seq: 2, key: 0 })).toBe(false);
});
