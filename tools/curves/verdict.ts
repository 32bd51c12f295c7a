import { robustSlope } from '../plot/slope.ts';
import type { CurveLine } from './curve.ts';

export interface Verdict {
  readonly kind: 'flat' | 'falls' | 'rises' | 'bends up';
  /** Last value divided by the first one. */
  readonly ratio: number;
  /**
   * Local slope at the end: the exponent e of y ~ x^e over the last points. 0 = the cost of one does not depend on the size, 1 =
   * it grows as the size does.
   */
  readonly endSlope: number;
}

/** A line that ends within these ratios to its start is flat. Single runs on a busy machine differ by a fifth. */
const FLAT = { from: 0.8, to: 1.25 };
/** A line that is still this steep at its end bends up: ten times the size costs 1.4 times as much, without an end to it. */
const STEEP = 0.15;
/** Points that the slope at the end is taken from. */
const END = 3;

/** Judges a line whose y is the cost of ONE (message, conversation, stream, ..): so it should be flat. */
export function judge(line: Pick<CurveLine, 'points'>): Verdict {
  const points = line.points.filter(({ y }) => Number.isFinite(y));
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined || first.y <= 0) return { kind: 'flat', ratio: 1, endSlope: 0 };
  const ratio = last.y / first.y;
  const endSlope = robustSlope(
    points
      .slice(-END)
      .filter(({ x, y }) => x > 0 && y > 0)
      .map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) })),
  );
  const kind = ratio < FLAT.from ? 'falls' : ratio <= FLAT.to ? 'flat' : endSlope > STEEP ? 'bends up' : 'rises';
  return { kind, ratio, endSlope };
}
