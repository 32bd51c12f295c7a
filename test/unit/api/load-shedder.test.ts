import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LoadShedder, type Shedding } from '../../../api/http/load-shedder.ts';

/** What a user asks for in a second, and how it is shed. */
interface Demand {
  readonly perSecond: number;
  readonly shedding?: Shedding;
}

interface Load {
  readonly capacity: number;
  readonly demands: readonly Demand[];
  readonly seconds: number;
}

const TICK_MS = 5;
const SAMPLE_MS = 20;

/** A process that serves `capacity` requests in a second, in their order, in a time that only this test moves. */
class Service {
  now = 0;
  backlog = 0;
  readonly shedder = new LoadShedder({ now: () => this.now, random: () => 0.5 });

  waitMs(capacity: number): number {
    return (this.backlog / capacity) * 1000;
  }

  /** @returns for each user, what was let in and what was refused, in a second of the last half of the time */
  run({ capacity, demands, seconds }: Load): { admitted: number[]; shed: number[]; waits: number[] } {
    const due = demands.map((_, i) => i / demands.length);
    const admitted = demands.map(() => 0);
    const shed = demands.map(() => 0);
    const waits: number[] = [];
    const ticks = (seconds * 1000) / TICK_MS;
    for (let tick = 0; tick < ticks; tick++) {
      this.now += TICK_MS;
      this.backlog = Math.max(0, this.backlog - (capacity * TICK_MS) / 1000);
      if (this.now % SAMPLE_MS === 0) this.shedder.sample(this.waitMs(capacity));
      const counts = tick >= ticks / 2;
      if (counts) waits.push(this.waitMs(capacity));
      for (const [i, { perSecond, shedding = 'first' }] of demands.entries()) {
        due[i] = (due[i] ?? 0) + (perSecond * TICK_MS) / 1000;
        for (; (due[i] ?? 0) >= 1; due[i] = (due[i] ?? 0) - 1) {
          const isIn = this.shedder.admits(`user ${i}`, shedding, 1);
          if (isIn) this.backlog++;
          const into = isIn ? admitted : shed;
          if (counts) into[i] = (into[i] ?? 0) + 2 / seconds;
        }
      }
    }
    return { admitted, shed, waits };
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

/** What each user gets at most, if the capacity is shared fairly: the level of max-min fairness. */
function fairLevel(capacity: number, demands: readonly number[]): number {
  let left = capacity;
  let users = demands.length;
  for (const demand of [...demands].sort((a, b) => a - b)) {
    if (demand * users > left) return left / users;
    left -= demand;
    users--;
  }
  return Infinity;
}

test('below the capacity nobody is shed, however unequal the users are', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 50, max: 90 }),
      (weights, percent) => {
        const scale = (10 * percent) / sum(weights);
        const demands = weights.map((weight) => ({ perSecond: weight * scale }));
        const { shed } = new Service().run({ capacity: 1000, demands, seconds: 6 });
        expect(sum(shed)).toBe(0);
      },
    ),
    { numRuns: 30 },
  );
});

test('above it, every user gets its fair share, and the service stays busy', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 5, max: 400 }), { minLength: 2, maxLength: 30 }),
      fc.integer({ min: 13, max: 100 }),
      (weights, tenths) => {
        const scale = (tenths * 100) / sum(weights);
        const wanted = weights.map((weight) => weight * scale);
        const demands = wanted.map((perSecond) => ({ perSecond }));
        const { admitted } = new Service().run({ capacity: 1000, demands, seconds: 20 });
        const level = fairLevel(1000, wanted);
        admitted.forEach((got, i) => expect(got).toBeGreaterThan(0.7 * Math.min(wanted[i] ?? 0, level)));
        expect(sum(admitted)).toBeGreaterThan(800);
      },
    ),
    { numRuns: 30 },
  );
});

test('one user who floods is cut alone', () => {
  const others = Array.from({ length: 20 }, () => ({ perSecond: 10 }));
  const { admitted, shed, waits } = new Service().run({
    capacity: 1000,
    demands: [{ perSecond: 9800 }, ...others],
    seconds: 20,
  });
  expect(sum(shed.slice(1))).toBe(0);
  expect(shed[0]).toBeGreaterThan(8000);
  expect(admitted[0]).toBeGreaterThan(600);
  waits.sort((a, b) => a - b);
  expect(waits[Math.floor(waits.length * 0.95)]).toBeLessThan(150);
});

test('commits pass while messages are shed', () => {
  const senders = Array.from({ length: 50 }, () => ({ perSecond: 40 }));
  const { shed } = new Service().run({
    capacity: 1000,
    demands: [{ perSecond: 4, shedding: 'last' }, ...senders],
    seconds: 20,
  });
  expect(shed[0]).toBe(0);
  expect(sum(shed)).toBeGreaterThan(500);
});

test('commits are shed too, when they are what overloads the service', () => {
  const demands = Array.from({ length: 20 }, () => ({ perSecond: 100, shedding: 'last' as const }));
  const service = new Service();
  const { shed } = service.run({ capacity: 1000, demands, seconds: 20 });
  expect(sum(shed)).toBeGreaterThan(0);
  expect(service.waitMs(1000)).toBeLessThan(1000);
});

test('more users than there is work in a second: some of the new ones are refused, and the wait stays bounded', () => {
  const service = new Service();
  let users = 0;
  let refused = 0;
  for (let tick = 0; tick < 4000; tick++) {
    service.now += TICK_MS;
    service.backlog = Math.max(0, service.backlog - 5);
    if (service.now % SAMPLE_MS === 0) service.shedder.sample(service.waitMs(1000));
    for (let i = 0; i < 10; i++) {
      if (service.shedder.admits(`new user ${users++}`, 'first', 1)) service.backlog++;
      else refused++;
    }
  }
  expect(refused).toBeGreaterThan(0);
  expect(service.waitMs(1000)).toBeLessThan(5000);
});

test('a single long pause sheds nothing', () => {
  const service = new Service();
  service.run({ capacity: 1000, demands: [{ perSecond: 500 }], seconds: 2 });
  service.now += 400;
  service.shedder.sample(400);
  expect(service.shedder.admits('user 0', 'first', 1)).toBe(true);
  service.now += 20;
  service.shedder.sample(3);
  expect(service.shedder.level).toBe(Infinity);
});

test('signals are shed before anything else: as soon as work waits too long, and until nothing is shed any more', () => {
  const service = new Service();
  const { shedder } = service;
  service.run({ capacity: 1000, demands: [{ perSecond: 500 }], seconds: 2 });
  expect([shedder.isOverloaded, shedder.admits('user 0', 'soonest', 1)]).toEqual([false, true]);
  shedder.sample(101);
  expect([shedder.admits('user 0', 'soonest', 1), shedder.admits('user 0', 'first', 1)]).toEqual([false, true]);
  service.run({ capacity: 1000, demands: Array.from({ length: 10 }, () => ({ perSecond: 1000 })), seconds: 10 });
  shedder.sample(0);
  expect(shedder.level).toBeLessThan(Infinity);
  expect([shedder.admits('new', 'soonest', 1), shedder.admits('new', 'first', 1)]).toEqual([false, true]);
});

test('after the overload everybody is let in again', () => {
  const service = new Service();
  service.run({ capacity: 1000, demands: Array.from({ length: 10 }, () => ({ perSecond: 1000 })), seconds: 10 });
  expect(service.shedder.level).toBeLessThan(Infinity);
  const { shed } = service.run({
    capacity: 1000,
    demands: Array.from({ length: 10 }, () => ({ perSecond: 50 })),
    seconds: 20,
  });
  expect(sum(shed)).toBe(0);
  expect(service.shedder.level).toBe(Infinity);
});

test('health, operators and streams are never shed', () => {
  const service = new Service();
  service.run({ capacity: 100, demands: [{ perSecond: 10_000 }], seconds: 10 });
  expect(service.shedder.admits('user 0', 'first', 1)).toBe(false);
  expect(service.shedder.admits('user 0', 'never', 1)).toBe(true);
});
