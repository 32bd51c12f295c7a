import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FLOOR_PER_SECOND, UpdateBudget } from '../../../../dispatch/auto/update-budget.ts';

// A simulated Temporal: an update takes longer the more of them are in flight beyond what the machine carries.
const TICK_MS = 10;

interface Simulation {
  /** Milliseconds of an update alone. */
  readonly aloneMs: number;
  /** Updates that the machine carries side by side. */
  readonly carries: number;
  readonly offeredPerSecond: number;
  readonly seconds: number;
  readonly loopDelayMs?: number;
}

interface Result {
  readonly taken: number;
  readonly refused: number;
  /** The mean of the limit over the second half. */
  readonly limit: number;
  /** The same of the time of an update. */
  readonly latencyMs: number;
}

function simulate(budget: UpdateBudget, clock: { now: number }, given: Simulation): Result {
  const { aloneMs, carries, offeredPerSecond, seconds, loopDelayMs = 0 } = given;
  const flights: { readonly end: number; readonly ms: number }[] = [];
  const start = clock.now;
  const half = start + (seconds * 1000) / 2;
  let offered = 0;
  const result = { taken: 0, refused: 0, limits: [] as number[], latencies: [] as number[] };
  while (clock.now < start + seconds * 1000) {
    clock.now += TICK_MS;
    for (const flight of flights.filter(({ end }) => end <= clock.now)) {
      flights.splice(flights.indexOf(flight), 1);
      budget.sample(flight.ms);
      budget.release();
      if (clock.now > half) result.latencies.push(flight.ms);
    }
    for (offered += (offeredPerSecond * TICK_MS) / 1000; offered >= 1; offered--) {
      if (!budget.tryTake()) {
        result.refused++;
        continue;
      }
      result.taken++;
      const ms = aloneMs * Math.max(1, (flights.length + 1) / carries);
      flights.push({ end: clock.now + ms, ms });
    }
    budget.tick(loopDelayMs);
    if (clock.now > half) result.limits.push(budget.limit);
  }
  for (const _ of flights) budget.release();
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  return { ...result, limit: mean(result.limits), latencyMs: mean(result.latencies) };
}

function start(): { budget: UpdateBudget; clock: { now: number } } {
  const clock = { now: 0 };
  return { budget: new UpdateBudget(() => clock.now), clock };
}

test.each([15, 100, 300])('what a Temporal %i ms away carries is not refused, once the limit has grown', (aloneMs) => {
  const { budget, clock } = start();
  simulate(budget, clock, { aloneMs, carries: 100, offeredPerSecond: 40, seconds: 5 });
  const { refused } = simulate(budget, clock, { aloneMs, carries: 100, offeredPerSecond: 40, seconds: 20 });
  expect(refused).toBe(0);
});

test('beyond what the machine carries the limit shrinks until updates are quick again, and grows when the load is gone', () => {
  const { budget, clock } = start();
  simulate(budget, clock, { aloneMs: 15, carries: 4, offeredPerSecond: 20, seconds: 5 });
  const before = budget.limit;
  const over = simulate(budget, clock, { aloneMs: 15, carries: 4, offeredPerSecond: 2000, seconds: 20 });
  expect(over.limit).toBeGreaterThan(3);
  // The target is twice the baseline and 5 ms.
  expect(over.latencyMs).toBeLessThan(3 * 15);
  expect(over.refused).toBeGreaterThan(0);
  const after = simulate(budget, clock, { aloneMs: 15, carries: 4, offeredPerSecond: 60, seconds: 10 });
  expect(after.refused).toBe(0);
  expect(before).toBeGreaterThanOrEqual(8);
});

test('saturated, the floor of updates a second still takes the workflow', () => {
  const { budget, clock } = start();
  simulate(budget, clock, { aloneMs: 15, carries: 4, offeredPerSecond: 20, seconds: 5 });
  // The whole machine is busy: even one update takes ten times as long.
  const { taken, limit } = simulate(budget, clock, { aloneMs: 150, carries: 1000, offeredPerSecond: 500, seconds: 20 });
  expect(limit).toBe(1);
  expect(taken / 20).toBeGreaterThanOrEqual(30);
  expect(taken / 20).toBeLessThan(FLOOR_PER_SECOND * 1.5);
});

test('a late event loop is congestion, however quick the updates are', () => {
  const { budget, clock } = start();
  simulate(budget, clock, { aloneMs: 15, carries: 100, offeredPerSecond: 400, seconds: 10 });
  const before = budget.limit;
  simulate(budget, clock, { aloneMs: 15, carries: 100, offeredPerSecond: 400, seconds: 10, loopDelayMs: 50 });
  expect(budget.limit).toBeLessThan(before / 2);
});

test('overload does not become the measure of no load', () => {
  const { budget, clock } = start();
  simulate(budget, clock, { aloneMs: 15, carries: 4, offeredPerSecond: 20, seconds: 5 });
  simulate(budget, clock, { aloneMs: 150, carries: 1000, offeredPerSecond: 500, seconds: 120 });
  expect(budget.baselineMs).toBeLessThan(30);
});

test('a Temporal that moved away becomes the new measure once nobody is refused', () => {
  const { budget, clock } = start();
  simulate(budget, clock, { aloneMs: 15, carries: 100, offeredPerSecond: 10, seconds: 10 });
  simulate(budget, clock, { aloneMs: 100, carries: 100, offeredPerSecond: 10, seconds: 60 });
  expect(budget.baselineMs).toBe(100);
});

test('after an outage it begins small and is as before within five seconds', () => {
  const { budget, clock } = start();
  simulate(budget, clock, { aloneMs: 15, carries: 100, offeredPerSecond: 1000, seconds: 30 });
  const before = budget.limit;
  budget.restart();
  expect(budget.limit).toBe(2);
  simulate(budget, clock, { aloneMs: 15, carries: 100, offeredPerSecond: 1000, seconds: 5 });
  expect(budget.limit).toBeGreaterThanOrEqual(Math.min(before, 16));
});

test('a workflow that has to be started first gets a place only while half of them are free, and never one of the floor', () => {
  const { budget, clock } = start();
  while (budget.inFlight < budget.limit / 2) expect(budget.tryTake(true)).toBe(true);
  expect(budget.tryTake(true)).toBe(false);
  expect(budget.tryTake()).toBe(true);
  while (budget.inFlight < budget.limit) budget.take();
  clock.now += 1000;
  expect(budget.tryTake(true)).toBe(false);
});

test('whatever happens, the limit stays between one and its maximum, and places add up', () => {
  const step = fc.oneof(
    fc.constant('try' as const),
    fc.constant('take' as const),
    fc.constant('release' as const),
    fc.constant('restart' as const),
    fc.record({ sample: fc.double({ min: 0, max: 10_000, noNaN: true }) }),
    fc.record({ wait: fc.integer({ min: 0, max: 3000 }), loop: fc.integer({ min: 0, max: 200 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const { budget, clock } = start();
      let held = 0;
      for (const one of steps) {
        if (one === 'try') held += budget.tryTake() ? 1 : 0;
        else if (one === 'take') {
          budget.take();
          held++;
        } else if (one === 'release') {
          if (held === 0) continue;
          budget.release();
          held--;
        } else if (one === 'restart') budget.restart();
        else if ('sample' in one) budget.sample(one.sample);
        else {
          clock.now += one.wait;
          budget.tick(one.loop);
        }
        expect(budget.inFlight).toBe(held);
        expect(budget.limit).toBeGreaterThanOrEqual(1);
        expect(budget.limit).toBeLessThanOrEqual(256);
      }
    }),
  );
});
