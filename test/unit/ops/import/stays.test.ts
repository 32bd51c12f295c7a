import { expect, test } from 'vitest';
import { type Place, mergeStays, periodsOf } from '../../../../ops/import/stays.ts';

const place = (seq: number, commitSeq: number): Place => ({ seq, commitSeq, epoch: 0, count: 0 });

test('a user is a member while one of its devices is', () => {
  expect(mergeStays([])).toEqual([]);
  const rows = [
    { from: 8, to: null },
    { from: 1, to: 3 },
    { from: 2, to: 5 },
  ];
  expect(mergeStays(rows)).toEqual([
    { from: 1, to: 5 },
    { from: 8, to: null },
  ]);
  expect(
    mergeStays([
      { from: 1, to: null },
      { from: 4, to: 6 },
    ]),
  ).toEqual([{ from: 1, to: null }]);
});

test('an end before its begin is an end at the begin', () => {
  expect(mergeStays([{ from: 5, to: 2 }])).toEqual([{ from: 5, to: 5 }]);
});

test('a stay begins with the commit before it, and one that begins where another ends goes on with it', () => {
  const places = new Map([
    [1, place(3, 2)],
    [2, place(5, 2)],
    [3, place(6, 2)],
    [4, place(9, 8)],
  ]);
  const at = (time: number): Place => places.get(time) ?? place(0, 0);
  expect(
    periodsOf(
      [
        { from: 1, to: 2 },
        { from: 4, to: null },
      ],
      at,
    ),
  ).toEqual([
    { joined: place(3, 2), left: place(5, 2) },
    { joined: place(9, 8), left: null },
  ]);
  expect(
    periodsOf(
      [
        { from: 1, to: 2 },
        { from: 3, to: null },
      ],
      at,
    ),
  ).toEqual([{ joined: place(3, 2), left: null }]);
});

test('a stay that ended before the first entry is opened again', () => {
  const empty = place(0, 0);
  expect(
    periodsOf(
      [
        { from: 1, to: 2 },
        { from: 3, to: null },
      ],
      () => empty,
    ),
  ).toEqual([{ joined: empty, left: null }]);
});
