import { shortNumber } from './numbers.ts';

export type ScaleKind = 'linear' | 'log';

export interface Tick {
  /** Place on the axis: 0 = its start, 1 = its end. */
  readonly place: number;
  readonly label: string;
}

/** An axis: where a value stands on it, and what is written beside it. */
export interface Scale {
  /** 0 = start of the axis, 1 = its end. */
  readonly place: (value: number) => number;
  readonly ticks: readonly Tick[];
}

/** Values that get a tick each, as long as there are no more than this. */
const MOST_TICKS = 7;
/** Steps between ticks of a linear axis, times a power of ten. */
const STEPS = [1, 2, 5, 10];

/**
 * A logarithmic axis from the smallest to the largest value, with a tick for each different value if they are few, else for
 * each power of ten.
 * @param values above 0
 */
export function logScale(values: readonly number[]): Scale {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  const low = Math.log10(distinct[0] ?? 1);
  const high = Math.log10(distinct.at(-1) ?? 1);
  const place = (value: number): number => (high === low ? 0.5 : (Math.log10(value) - low) / (high - low));
  const powers = Array.from({ length: Math.floor(high) - Math.ceil(low) + 1 }, (_, i) => 10 ** (Math.ceil(low) + i));
  const marked = distinct.length <= MOST_TICKS || powers.length < 2 ? distinct.slice(0, MOST_TICKS) : powers;
  return { place, ticks: marked.map((value) => ({ place: place(value), label: shortNumber(value) })) };
}

/** A linear axis with round numbers at its ends. @param from the axis begins here at the latest; default 0 */
export function linearScale(values: readonly number[], from = 0): Scale {
  const low = Math.min(from, ...values);
  const high = Math.max(...values, low);
  const step = stepFor(high - low);
  const first = Math.floor(low / step);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  const place = (value: number): number => (value / step - first) / (last - first);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => {
    const value = Number(((first + i) * step).toPrecision(12));
    return { place: place(value), label: shortNumber(value) };
  });
  return { place, ticks };
}

/** The smallest round step with which five of them cover the range. */
function stepFor(range: number): number {
  if (range <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(range / 5));
  return power * (STEPS.find((step) => step * power * 5 >= range) ?? 10);
}
