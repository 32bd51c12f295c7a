import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Pace, makePacer } from '../../../tools/harness/pacer.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('chunks take their time, and keep their order when the line becomes fast again', () => {
  let pace: Pace = { delayMs: 50, bytesPerSecond: 1000 };
  const pacer = makePacer(() => pace);
  const arrived: string[] = [];
  pacer.pass(100, () => arrived.push('first'));
  pacer.pass(100, () => arrived.push('second'));
  vi.advanceTimersByTime(149);
  expect(arrived).toEqual([]);
  vi.advanceTimersByTime(2);
  expect(arrived).toEqual(['first']);
  pace = {};
  pacer.pass(1, () => arrived.push('third'));
  expect(arrived).toEqual(['first']);
  vi.advanceTimersByTime(101);
  expect(arrived).toEqual(['first', 'second', 'third']);
  pacer.pass(1, () => arrived.push('fourth'));
  expect(arrived.at(-1)).toBe('fourth');
});
