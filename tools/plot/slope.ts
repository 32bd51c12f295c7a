import type { Point } from './chart.ts';

/** Points that the slope is taken from. More are thinned out: the number of pairs grows with the square. */
const MOST_POINTS = 400;

/**
 * The slope of points by Theil and Sen: the median of the slopes of all pairs. Up to 29 % of the points may be anything.
 * @returns change of y for each 1 of x; 0 when no two points differ in x
 */
export function robustSlope(points: readonly Point[]): number {
  const step = Math.max(1, Math.ceil(points.length / MOST_POINTS));
  const some = points.filter((_, i) => i % step === 0);
  const slopes = some.flatMap((a, i) =>
    some.slice(i + 1).flatMap((b) => (a.x === b.x ? [] : [(b.y - a.y) / (b.x - a.x)])),
  );
  return middle(slopes) ?? 0;
}

/** The median; with an even count the mean of the two in the middle. `undefined` = there are no values */
export function middle(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const low = sorted[Math.floor((sorted.length - 1) / 2)];
  const high = sorted[Math.ceil((sorted.length - 1) / 2)];
  return low === undefined || high === undefined ? undefined : (low + high) / 2;
}
