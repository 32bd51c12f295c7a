import { expect, test } from 'vitest';
import { Turns } from '../../../store/turns.ts';

function filled(...items: readonly [user: string, ...items: number[]][]): Turns<number> {
  const turns = new Turns<number>();
  for (const [user, ...own] of items) for (const item of own) turns.push(user, item);
  return turns;
}

const always = (): boolean => true;

test('users take turns, and items of one user keep their order', () => {
  const turns = filled(['mallory', 1, 2, 3], ['alice', 10], ['bob', 20, 21]);
  expect(turns.take(always)).toEqual([1, 10, 20, 2, 21, 3]);
  expect(turns.isEmpty).toBe(true);
});

test('one user gets its part, and the rest waits', () => {
  const turns = filled(['mallory', 1, 2, 3], ['alice', 10]);
  expect(turns.take(always, 2)).toEqual([1, 10, 2]);
  expect(turns.take(always, 2)).toEqual([3]);
});

test('what does not fit waits for the next time, and the first item is always taken', () => {
  const turns = filled(['mallory', 1, 2], ['alice', 10]);
  expect(turns.take(() => false)).toEqual([1]);
  expect(turns.take((item) => item === 10)).toEqual([10]);
  expect(turns.take(always)).toEqual([2]);
});
