import { type RateClass, type Route, type RouteCost, rateClassOf } from './route.ts';
import { isJsonObject } from './validate.ts';

// Weights of requests. `npm run cost:requests` measures them; docs/explanation/limits.md has the table. They are rounded up, because
// the service must not promise more than it has.

/** What a request of a class costs, in milliseconds. */
const CLASS_COSTS: Readonly<Record<RateClass, RouteCost>> = {
  messages: { request: 1, perMb: 30, perItem: 0.1 },
  signals: { request: 1, perMb: 30, perItem: 0.02 },
  commits: { request: 3, perMb: 200, perItem: 0.05 },
  claims: { request: 1, perMb: 30, perItem: 0.2 },
  writes: { request: 1, perMb: 30, perItem: 0.02 },
  reads: { request: 1, perMb: 20, perItem: 0.02 },
};

/** What one unit of a class pays for, in milliseconds. An ordinary request of the class costs less, and so one unit. */
export const UNIT_MS: Readonly<Record<RateClass, number>> = {
  messages: 5,
  signals: 5,
  commits: 20,
  claims: 5,
  writes: 5,
  reads: 5,
};

/** What each megabyte of an answer costs, in milliseconds: reading it, base64 and JSON. */
export const ANSWER_MS_PER_MB = 20;

/** A key package: its form and two signatures. */
export const KEY_PACKAGE_MS = 0.7;

/** One user of a claim for many: look-ups, and about a kilobyte of the answer. */
export const GROUP_CLAIM_USER_MS = 0.05;

/** Writing a signal to one stream. */
export const SIGNAL_WRITE_MS = 0.02;

const MB = 1024 * 1024;

/** What a route costs. */
export function costOf(route: Route): RouteCost {
  return { ...CLASS_COSTS[rateClassOf(route)], ...route.cost };
}

/** What so many bytes cost, in milliseconds. @param perMb milliseconds for a megabyte */
export function bytesMs(bytes: number, perMb: number): number {
  return (bytes / MB) * perMb;
}

/** Counts the elements of all lists in a body, and the properties of its objects. The body may be malformed. */
export function countItems(body: unknown): number {
  if (Array.isArray(body)) return body.length;
  if (!isJsonObject(body)) return 0;
  const values = Object.values(body);
  // The properties of the body itself count where there are more than any route has.
  return values.reduce<number>((sum, value) => sum + sizeOf(value), Math.max(0, values.length - 20));
}

function sizeOf(value: unknown): number {
  if (Array.isArray(value)) return value.length;
  return isJsonObject(value) ? Object.keys(value).length : 0;
}
