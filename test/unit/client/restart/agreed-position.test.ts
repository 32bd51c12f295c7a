import { describe, expect, test } from 'vitest';
import type { ChainPosition } from '../../../../client/index.ts';
import { agreedPosition } from '../../../../client/restart/agreed-position.ts';

const known = (seqs: readonly number[]): ChainPosition[] => seqs.map((seq) => ({ seq, chain: `chain ${seq}` }));
const upTo = (last: number): number[] => Array.from({ length: last + 1 }, (_, seq) => seq);

/** A log that has the positions up to `end`, and what it was asked. */
function logUpTo(end: number): {
  readonly asked: number[];
  readonly compare: (positions: readonly ChainPosition[]) => Promise<ChainPosition | undefined>;
} {
  const asked: number[] = [];
  return {
    asked,
    compare: (positions) => {
      asked.push(positions.length);
      return Promise.resolve(positions.findLast(({ seq }) => seq <= end));
    },
  };
}

describe('the greatest position that a device and a restored log have in common', () => {
  test.each([0, 1, 63, 64, 65, 300, 4_999, 5_000])('is found wherever it is: %i of 5000', async (end) => {
    const { asked, compare } = logUpTo(end);
    expect((await agreedPosition(known(upTo(5_000)), compare))?.seq).toBe(end);
    expect(asked.length).toBeLessThanOrEqual(3);
    expect(Math.max(...asked)).toBeLessThanOrEqual(64);
  });

  test('of few positions is found in one request', async () => {
    for (let end = 0; end <= 40; end++) {
      const { asked, compare } = logUpTo(end);
      expect((await agreedPosition(known(upTo(40)).reverse(), compare))?.seq).toBe(end);
      expect(asked).toHaveLength(1);
    }
  });

  test('is the next older known one where the device has forgotten some', async () => {
    const { compare } = logUpTo(17);
    expect((await agreedPosition(known([4, 8, 16, 24, 25, 26]), compare))?.seq).toBe(16);
  });

  test('does not exist for a device that joined above it, or that knows nothing', async () => {
    const { compare } = logUpTo(7);
    expect(await agreedPosition(known([9, 10, 11]), compare)).toBeUndefined();
    expect(await agreedPosition([], compare)).toBeUndefined();
  });
});
