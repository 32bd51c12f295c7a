import { expect, test } from 'vitest';
import { retryHint } from '../../../streams/retry-hint.ts';

/** @returns how many readers come back in each second after their process ended */
function perSecond(readers: number): number[] {
  const counts: number[] = [];
  for (let i = 0; i < readers; i++) {
    // Evenly spread in place of random: the counts are exact.
    const second = Math.floor(retryHint(readers, () => i / readers) / 1000);
    counts[second] = (counts[second] ?? 0) + 1;
  }
  return Array.from(counts, (count: number | undefined) => count ?? 0);
}

test('a few readers come back within seconds, and not together', () => {
  expect(perSecond(300)).toEqual([50, 100, 100, 50]);
});

test('of many readers, a thousand come back in a second', () => {
  expect(Math.max(...perSecond(20_000))).toBeLessThanOrEqual(1000);
  expect(perSecond(20_000)).toHaveLength(21);
});

test('nobody waits much longer than a minute', () => {
  expect(retryHint(1_000_000, () => 1)).toBe(60_500);
});

test('each call gives another time', () => {
  expect(new Set(Array.from({ length: 50 }, () => retryHint(10))).size).toBe(50);
});
