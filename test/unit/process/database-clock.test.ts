import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { type DatabaseClock, MAX_CLOCK_SKEW_MS, makeDatabaseClock } from '../../../process/database-clock.ts';

const SECOND = 1000;
const START = Date.UTC(2026, 0, 1);

/** A world with true time; the machine of the process and that of the database may believe something else. */
class World {
  /** Milliseconds since the start. */
  at = 0;
  /** Ahead of the true time. */
  processSkew = 0;
  databaseSkew = 0;
  /** Stops when the machine is suspended. */
  suspended = 0;
  readonly warnings: unknown[] = [];
  readonly clock: DatabaseClock;

  constructor() {
    const log = pino({ level: 'warn' }, { write: (line: string) => void this.warnings.push(JSON.parse(line)) });
    const clock = { wallMs: () => this.own, monotonicMs: () => this.at - this.suspended + 5000 };
    this.clock = makeDatabaseClock({ log, clock });
  }

  get own(): number {
    return START + this.at + this.processSkew;
  }

  get database(): number {
    return START + this.at + this.databaseSkew;
  }

  /** A call that the database answers after `thereMs`; the answer needs `backMs`. */
  async call(thereMs: number, backMs: number): Promise<void> {
    await this.clock.learnFrom(() => {
      this.at += thereMs;
      const databaseMs = this.database;
      this.at += backMs;
      return Promise.resolve({ databaseMs });
    });
  }

  /** How far the clock is from the truth. */
  get error(): number {
    return Math.abs(this.clock.now() - this.database);
  }
}

const SKEWS = [5, 30, 300].flatMap((seconds) => [seconds * SECOND, -seconds * SECOND]);

describe.each(SKEWS)('a process whose clock is %i ms ahead', (skew) => {
  test('knows the time of the database after one call, to half of what the call took', async () => {
    const world = new World();
    world.processSkew = skew;
    await world.call(2, 4);
    expect(world.error).toBeLessThanOrEqual(3);
    expect(Math.abs(world.clock.skewMs() - skew)).toBeLessThanOrEqual(3);
  });

  test('gives an operation its remaining budget by the clock of the database, less what a call takes', async () => {
    const world = new World();
    world.processSkew = skew;
    await world.call(1, 1);
    const deadline = world.own + 10 * SECOND;
    world.at += 4 * SECOND;
    // Less the millisecond in which the database may have read its clock earlier.
    expect(world.clock.at(deadline)).toBe(world.database + 6 * SECOND - 1);
  });

  test('warns beyond the limit, once a minute, and again in the next', async () => {
    const world = new World();
    world.processSkew = skew;
    await world.call(0, 0);
    const isBeyond = Math.abs(skew) > MAX_CLOCK_SKEW_MS;
    expect(world.warnings).toHaveLength(isBeyond ? 1 : 0);
    for (let i = 0; i < 59; i++) {
      world.at += SECOND;
      await world.call(0, 0);
    }
    expect(world.warnings).toHaveLength(isBeyond ? 1 : 0);
    world.at += SECOND;
    await world.call(0, 0);
    expect(world.warnings).toHaveLength(isBeyond ? 2 : 0);
    if (isBeyond) expect(world.warnings[0]).toMatchObject({ skewMs: skew });
  });
});

test('before the first call its own clock counts', () => {
  const world = new World();
  world.processSkew = 7;
  expect(world.clock.now()).toBe(world.own);
  expect(world.clock.at(world.own + 100)).toBe(world.own + 100);
  expect(world.clock.skewMs()).toBe(0);
});

test('slow calls do not spoil what fast ones showed, however their time is divided', async () => {
  const duration = fc.integer({ min: 0, max: 3000 });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(duration, duration), { maxLength: 20 }), async (slow) => {
      const world = new World();
      world.processSkew = 30 * SECOND;
      await world.call(1, 1);
      for (const [there, back] of slow) {
        await world.call(there, back);
        // A limit is never later than by the clock of the process.
        expect(world.clock.at(world.own + SECOND)).toBeLessThanOrEqual(world.database + SECOND);
      }
      // 1 ms of the fast call, and the drift that is allowed for.
      const drift = world.at * 0.0005;
      expect(world.error).toBeLessThanOrEqual(1 + drift);
    }),
  );
});

test('each call bounds the error, whatever was learnt before it', async () => {
  const duration = fc.integer({ min: 0, max: 500 });
  const step = fc.record({
    there: duration,
    back: duration,
    jump: fc.constantFrom(0, 0, 0, 0, 300 * SECOND, -300 * SECOND, 900, -900),
    database: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      const world = new World();
      for (const { there, back, jump, database } of steps) {
        if (database) world.databaseSkew += jump;
        else world.processSkew += jump;
        await world.call(there, back);
        expect(world.error).toBeLessThanOrEqual(there + back);
      }
    }),
  );
});

test('a step of the own clock changes nothing, and a failover to another clock counts with the next call', async () => {
  const world = new World();
  await world.call(1, 1);
  world.processSkew = -300 * SECOND;
  expect(world.error).toBeLessThanOrEqual(1);
  world.databaseSkew = 40 * SECOND;
  await world.call(1, 1);
  expect(world.error).toBeLessThanOrEqual(1);
});

test('after a suspension, during which the monotonic clock stood, the next call counts', async () => {
  const world = new World();
  await world.call(1, 1);
  world.at += 3600 * SECOND;
  world.suspended = 3600 * SECOND;
  await world.call(1, 1);
  expect(world.error).toBeLessThanOrEqual(1);
});

test('a call that fails teaches nothing, and its error reaches the caller', async () => {
  const world = new World();
  await expect(world.clock.learnFrom(() => Promise.reject(new Error('away')))).rejects.toThrow('away');
  expect(world.clock.skewMs()).toBe(0);
});
