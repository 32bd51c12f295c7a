import type { Point } from '../plot/chart.ts';
import { middle, robustSlope } from '../plot/slope.ts';
import { SERIES, type SeriesKind } from './series.ts';

/** What was seen at one moment: values by the key of their series. A value that could not be read is missing. */
export interface Sample {
  /** Since the start of the run. */
  readonly seconds: number;
  readonly values: ReadonlyMap<string, number>;
}

export interface SeriesVerdict {
  readonly series: SeriesKind;
  /** Medians of the first and of the last third after the warm-up. */
  readonly before: number;
  readonly after: number;
  readonly most: number;
  readonly perHour: number;
  /** `undefined` = it is not judged. */
  readonly isFlat: boolean | undefined;
}

/** Part of the run that is the warm-up: caches fill, and tables reach their working size. */
const WARM_UP = 0.3;
const MOST_WARM_UP_SECONDS = 900;
/** Differences between single samples that are noise, in medians of the distance to the median. */
const NOISE = 3;

/** The points of a series, x in seconds. */
export function pointsOf(samples: readonly Sample[], key: string): Point[] {
  return samples.flatMap(({ seconds, values }) => {
    const y = values.get(key);
    return y === undefined || !Number.isFinite(y) ? [] : [{ x: seconds, y }];
  });
}

/** The samples after the warm-up. */
export function settled(samples: readonly Sample[]): readonly Sample[] {
  const end = samples.at(-1)?.seconds ?? 0;
  const from = Math.min(end * WARM_UP, MOST_WARM_UP_SECONDS);
  return samples.filter(({ seconds }) => seconds >= from);
}

/** Judges a series by its points after the warm-up. @returns `undefined` when there are too few points */
export function judgeSeries(series: SeriesKind, points: readonly Point[]): SeriesVerdict | undefined {
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined || points.length < 3) return undefined;
  const ys = points.map(({ y }) => y);
  const third = Math.ceil(ys.length / 3);
  const slope = robustSlope(points);
  const perHour = slope * 3600;
  const most = Math.max(...ys);
  const seen = { series, before: middle(ys.slice(0, third)) ?? 0, after: middle(ys.slice(-third)) ?? 0, most, perHour };
  switch (series.bound.kind) {
    case 'shown':
      return { ...seen, isFlat: undefined };
    case 'ceiling':
      return { ...seen, isFlat: most <= series.bound.at };
    case 'level': {
      const { allowance } = series.bound;
      const drift = slope * (last.x - first.x);
      const isLevel = perHour <= series.bound.perHour || drift <= Math.max(allowance, NOISE * noiseOf(points, slope));
      return { ...seen, isFlat: isLevel };
    }
  }
}

/** Judges all series that have values. */
export function judgeAll(samples: readonly Sample[]): SeriesVerdict[] {
  const after = settled(samples);
  return SERIES.flatMap((series) => judgeSeries(series, pointsOf(after, series.key)) ?? []);
}

/** Median distance of the points to their line. */
function noiseOf(points: readonly Point[], slope: number): number {
  const rests = points.map(({ x, y }) => y - slope * x);
  const level = middle(rests) ?? 0;
  return middle(rests.map((rest) => Math.abs(rest - level))) ?? 0;
}
