import fc from 'fast-check';
import { expect, test } from 'vitest';
import { judge } from '../../../tools/curves/verdict.ts';
import { middle, robustSlope } from '../../../tools/plot/slope.ts';
import { type SeriesKind, SERIES } from '../../../tools/soak/series.ts';
import { type Sample, judgeAll, judgeSeries, settled } from '../../../tools/soak/verdict.ts';

const number = fc.double({ min: -1000, max: 1000, noNaN: true });
const lineOf = (slope: number, level: number, count: number): { x: number; y: number }[] =>
  Array.from({ length: count }, (_, x) => ({ x, y: level + slope * x }));

test('the middle is the median', () => {
  expect([middle([]), middle([3]), middle([1, 9]), middle([5, 1, 2])]).toEqual([undefined, 3, 5, 2]);
});

test('the slope of a line is found, however a quarter of its points lie', () => {
  const outliers = fc.array(fc.tuple(fc.nat(39), fc.double({ min: -1e6, max: 1e6, noNaN: true })), { maxLength: 10 });
  fc.assert(
    fc.property(number, number, outliers, (slope, level, wrong) => {
      const points = lineOf(slope, level, 40);
      for (const [at, y] of wrong) points[at] = { x: at, y };
      expect(robustSlope(points)).toBeCloseTo(slope, 6);
    }),
  );
});

test('the slope of thousands of points is found in time', () => {
  expect(robustSlope(lineOf(2, 1, 20_000))).toBeCloseTo(2, 9);
});

test('points without a direction have no slope', () => {
  expect([
    robustSlope([]),
    robustSlope([{ x: 1, y: 1 }]),
    robustSlope([
      { x: 1, y: 1 },
      { x: 1, y: 9 },
    ]),
  ]).toEqual([0, 0, 0]);
});

const SIZES = [1, 100, 10_000, 1_000_000];
const curveOf = (cost: (x: number) => number) => ({
  points: SIZES.map((x) => ({ x, y: cost(x), parts: {} })),
});

test('a cost that does not depend on the size is flat, also with noise of a tenth', () => {
  const noise = fc.array(fc.double({ min: 0.91, max: 1.09, noNaN: true }), { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(fc.double({ min: 0.01, max: 1000, noNaN: true }), noise, (cost, factors) => {
      let i = 0;
      expect(judge(curveOf(() => cost * (factors[i++] ?? 1))).kind).toBe('flat');
    }),
  );
});

test('a cost that grows as a power of the size bends up, and its exponent is seen', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.2, max: 2, noNaN: true }), (exponent) => {
      const { kind, endSlope } = judge(curveOf((x) => x ** exponent));
      expect(kind).toBe('bends up');
      expect(endSlope).toBeCloseTo(exponent, 6);
    }),
  );
});

test('a cost that rises to a level and stays there does not bend up', () => {
  expect(judge(curveOf((x) => Math.min(x, 50))).kind).toBe('rises');
  expect(judge(curveOf((x) => 10 / Math.min(x, 50))).kind).toBe('falls');
});

test('a constant part hides nothing: what grows in the end is seen', () => {
  expect(judge(curveOf((x) => 5 + x / 10_000)).kind).toBe('bends up');
});

test('a curve without a usable first point is not judged', () => {
  expect(judge({ points: [] }).kind).toBe('flat');
  expect(judge({ points: [{ x: 1, y: Number.NaN, parts: {} }] }).kind).toBe('flat');
});

const memory: SeriesKind = {
  key: 'rss',
  label: 'API',
  chart: 'memory, MB',
  bound: { kind: 'level', perHour: 10, allowance: 5 },
};

test('a leak is seen behind noise, once it exceeds what noise explains', () => {
  const noisy = (perSecond: number) => lineOf(perSecond, 100, 600).map(({ x, y }) => ({ x, y: y + ((x * 7) % 5) }));
  expect(judgeSeries(memory, noisy(0))?.isFlat).toBe(true);
  // 29 MB an hour are too many, but 4.8 MB in the run say nothing: 5 are always allowed.
  expect(judgeSeries(memory, noisy(0.008))?.isFlat).toBe(true);
  expect(judgeSeries(memory, noisy(0.05))?.isFlat).toBe(false);
  expect(judgeSeries(memory, noisy(-0.05))?.isFlat).toBe(true);
});

test('a slope within its bound is flat, however long the run is', () => {
  const slow = lineOf(9 / 3600, 100, 50).map(({ x, y }) => ({ x: x * 3600, y: y + ((x * 9) / 3600) * 3599 }));
  expect(judgeSeries(memory, slow)?.isFlat).toBe(true);
});

test('a ceiling is about the largest value', () => {
  const series: SeriesKind = { ...memory, bound: { kind: 'ceiling', at: 10 } };
  expect(judgeSeries(series, lineOf(1, 0, 11))?.isFlat).toBe(true);
  expect(judgeSeries(series, lineOf(1, 0, 12))?.isFlat).toBe(false);
});

test('too few samples are not judged, and the warm-up is left out', () => {
  expect(judgeSeries(memory, lineOf(0, 1, 2))).toBeUndefined();
  const samples: Sample[] = Array.from({ length: 100 }, (_, i) => ({
    seconds: i,
    values: new Map([['api.rss', i < 29 ? i * 100 : 2900]]),
  }));
  expect(settled(samples)[0]?.seconds).toBe(30);
  expect(judgeAll(samples).map(({ isFlat }) => isFlat)).toEqual([true]);
});

test('each series has a key of its own, and a place in a chart', () => {
  const keys = SERIES.map(({ key }) => key);
  expect(new Set(keys).size).toBe(keys.length);
  const names = SERIES.map(({ chart, label }) => `${chart}: ${label}`);
  expect(new Set(names).size).toBe(names.length);
});
