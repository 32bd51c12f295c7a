import type { ChainPosition } from '../chain/position.ts';

/** Positions that the service compares in one request. */
const ROUND = 64;
/** 64 to the power of 3 positions are found in three rounds; no device keeps so many. */
const MAX_ROUNDS = 6;

/** Says which of these positions is the greatest one that the log has; `undefined`: none. */
export type Compare = (positions: readonly ChainPosition[]) => Promise<ChainPosition | undefined>;

/**
 * The greatest of the known positions that the log has. A log that has a position has all positions before it, so the search
 * halves, or rather divides by 64, what is left.
 * @param known in any order
 */
export async function agreedPosition(
  known: readonly ChainPosition[],
  compare: Compare,
): Promise<ChainPosition | undefined> {
  const sorted = [...known].sort((a, b) => a.seq - b.seq);
  let [below, above] = [-1, sorted.length];
  for (let round = 0; above - below > 1 && round < MAX_ROUNDS; round++) {
    const asked = spread(below + 1, above - 1);
    const answer = await compare(asked.map((index) => sorted[index]).filter((one) => one !== undefined));
    const found = answer === undefined ? -1 : asked.findLastIndex((index) => sorted[index]?.seq === answer.seq);
    above = asked[found + 1] ?? above;
    below = asked[found] ?? below;
  }
  return sorted[below];
}

/** Up to 64 whole numbers from `first` to `last`, with both of them, evenly. */
function spread(first: number, last: number): number[] {
  const count = Math.min(ROUND, last - first + 1);
  return Array.from(
    { length: count },
    (_, i) => last - Math.floor(((last - first) * i) / Math.max(count - 1, 1)),
  ).reverse();
}
