import { expect, onTestFinished, test, vi } from 'vitest';
import { countItems } from '../../../api/http/request-cost.ts';
import { makeWindowCounter } from '../../../api/http/window-counter.ts';

test('a window begins with its first use, ends after its time, and is then forgotten', () => {
  vi.useFakeTimers({ now: 0 });
  onTestFinished(() => void vi.useRealTimers());
  const counter = makeWindowCounter(1000);
  counter.of('a').amount += 5;
  vi.setSystemTime(600);
  counter.of('b').amount += 1;
  vi.setSystemTime(999);
  expect(counter.of('a').amount).toBe(5);
  vi.setSystemTime(1000);
  expect([counter.of('a').amount, counter.of('b').amount]).toEqual([0, 1]);
  expect(counter.of('a').resetAt).toBe(2000);
  expect(counter.of('a').partition).not.toBe(counter.of('b').partition);
  vi.setSystemTime(10_000);
  expect(counter.of('b').amount).toBe(0);
});

test.each([
  [{ messages: [1, 2, 3] }, 3],
  [{ positions: { a: 1, b: 2 }, list: [1] }, 3],
  [Array.from({ length: 50 }), 50],
  [{ id: 'x', ciphertext: 'y' }, 0],
  [Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`k${i}`, i])), 100],
  ['text', 0],
  [null, 0],
])('%j has %i items', (body, items) => {
  expect(countItems(body)).toBe(items);
});
