import { expect, test } from 'vitest';
import type { Feed } from '../../../streams/feed.ts';
import type { SignalBatch } from '../../../streams/signal-batch.ts';
import { Signals } from '../../../streams/signals.ts';
import type { Cursor } from '../../../store/log/log-items.ts';
import { isAfter } from '../../../store/log/log-items.ts';
import { parseSignal } from '../../../store/signal/signals.ts';

/** A subscription as signals see it. */
class Reader {
  seq = 5;
  key = 0;
  live = true;
  isReady = true;
  readonly came: string[] = [];
  deliverSignals({ forAccount }: SignalBatch): void {
    this.came.push(forAccount);
  }
}

/** A feed whose reads end when the test says so. */
class FakeFeed {
  readonly subscriptions: Set<Reader>;
  readonly afterRead: (() => void)[] = [];
  constructor(readers: readonly Reader[]) {
    this.subscriptions = new Set(readers);
  }
  isBefore(cursor: Cursor): boolean {
    return [...this.subscriptions].some((one) => one.live && isAfter(cursor, one));
  }
  afterNextRead(callback: () => void): void {
    this.afterRead.push(callback);
  }
}

interface Bench {
  readonly signals: Signals;
  readonly send: (conversation: string, data?: string, seq?: number) => void;
  /** Runs what is due next. @returns its pause in milliseconds; `undefined` = nothing is due */
  readonly step: () => number | undefined;
  readonly run: () => void;
  readonly counts: { delivered: number; overload: number; queue: number; reader: number };
}

function bench(feeds: Record<string, FakeFeed>, { isOverloaded = false, msPerLook = 0 } = {}): Bench {
  const counts = { delivered: 0, overload: 0, queue: 0, reader: 0 };
  const due: { task: () => void; ms: number }[] = [];
  let now = 0;
  const byId = new Map(Object.entries(feeds));
  const signals = new Signals({
    feeds: { of: (id) => byId.get(id) as unknown as Feed | undefined },
    metrics: {
      signalsDelivered: (count) => (counts.delivered += count),
      signalsDropped: (reason, count) => (counts[reason] += count),
    },
    isOverloaded: () => isOverloaded,
    now: () => (now += msPerLook),
    later: (task, ms) => due.push({ task, ms }),
  });
  const step = (): number | undefined => {
    const next = due.shift();
    next?.task();
    return next?.ms;
  };
  return {
    signals,
    send: (conversation, data = 'AAAA', seq = 5) => signals.receive({ conversation, after: { seq, key: 0 }, data }),
    step,
    run: () => {
      while (step() !== undefined);
    },
    counts,
  };
}

const countOf = ({ came }: Reader): number => came.join('').split('event: signal').length - 1;
const readers = (count: number): Reader[] => Array.from({ length: count }, () => new Reader());

test('a signal waits until everybody who is live has what the log had when it was sent', () => {
  const [quick = new Reader(), behind = new Reader()] = readers(2);
  const feed = new FakeFeed([quick, behind]);
  const { send, run, counts } = bench({ a: feed });
  quick.seq = 6;
  send('a', 'AAAA', 6);
  run();
  expect([countOf(quick), countOf(behind)]).toEqual([0, 0]);
  behind.seq = 6;
  for (const callback of feed.afterRead) callback();
  run();
  expect([countOf(quick), countOf(behind), counts.delivered]).toEqual([1, 1, 2]);
});

test('who is not as far after that read, catches up, or reads slowly goes without', () => {
  const [good = new Reader(), behind = new Reader(), catchingUp = new Reader(), slow = new Reader()] = readers(4);
  const feed = new FakeFeed([good, behind, catchingUp, slow]);
  const { send, run, counts } = bench({ a: feed });
  good.seq = 6;
  slow.seq = 6;
  slow.isReady = false;
  catchingUp.live = false;
  send('a', 'AAAA', 6);
  for (const callback of feed.afterRead) callback();
  run();
  expect([good, behind, catchingUp, slow].map(countOf)).toEqual([1, 0, 0, 0]);
  expect(counts).toEqual({ delivered: 1, overload: 0, queue: 0, reader: 3 });
});

test('nobody here follows the conversation: nothing waits', () => {
  const { send, step } = bench({});
  send('a');
  expect(step()).toBeUndefined();
});

test('an overloaded process drops all of them', () => {
  const [reader = new Reader()] = readers(1);
  const { send, step, counts } = bench({ a: new FakeFeed([reader]) }, { isOverloaded: true });
  send('a');
  expect([step(), counts.overload]).toEqual([undefined, 1]);
});

test('a flood in one conversation drops its own oldest signals, and another conversation has its turn', () => {
  const [flooded = new Reader(), calm = new Reader()] = readers(2);
  const { send, step, run, counts } = bench({ a: new FakeFeed([flooded]), b: new FakeFeed([calm]) });
  for (let i = 0; i < 500; i++) send('a', `${String(i).padStart(4, '0')}${'A'.repeat(4000)}`);
  send('b');
  expect(counts.queue).toBe(500 - 64);
  step();
  expect(countOf(calm)).toBe(1);
  // No write is so large that its reader counts as slow.
  expect(flooded.came.map(({ length }) => length < 9000)).toEqual([true]);
  run();
  expect(countOf(flooded)).toBe(64);
  expect(flooded.came.at(-1)).toContain('"data":"0499');
});

test('memory is bounded over all conversations, also while reads of the log do not end', () => {
  const feeds = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`c${i}`, new FakeFeed(readers(1))]));
  const { send, run, counts } = bench(feeds);
  const size = 5000;
  for (let turn = 0; turn < 10; turn++)
    for (const id of Object.keys(feeds)) send(id, 'A'.repeat(size), turn < 5 ? 6 : 5);
  const kept = Math.floor((1024 * 1024) / size);
  expect(counts.queue).toBe(1000 - kept);
  // What is over makes room again.
  for (const { afterRead } of Object.values(feeds)) for (const callback of afterRead) callback();
  run();
  send('c0');
  run();
  expect(counts.queue).toBe(1000 - kept);
  expect(counts.delivered).toBe(1);
});

test('signals have a quarter of the time at most: each go is short, and the pause after it three times as long', () => {
  const many = readers(1000);
  // Each look at the clock is ten milliseconds later than the last one.
  const { send, step } = bench({ a: new FakeFeed(many) }, { msPerLook: 10 });
  send('a');
  const after: [number, number][] = [];
  for (let pause = step(); pause !== undefined; pause = step()) {
    after.push([pause, many.filter(({ came }) => came.length > 0).length]);
  }
  const [[first, reached] = [1, 1000], ...rest] = after;
  expect(first).toBe(0);
  expect(reached).toBeLessThan(100);
  for (const [pause] of rest) expect(pause).toBeGreaterThanOrEqual(60);
  expect(after.at(-1)?.[1]).toBe(1000);
});

test('a notification that is no signal is refused', () => {
  expect(() => parseSignal('only three words')).toThrow(TypeError);
  expect(parseSignal('id 3 4 AAAA')).toEqual({ conversation: 'id', after: { seq: 3, key: 4 }, data: 'AAAA' });
  expect(parseSignal('id 3 4 AAAA a user')).toMatchObject({ sender: 'a user' });
});
