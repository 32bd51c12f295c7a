import { EventEmitter } from 'node:events';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { shutDownOnSignals } from '../../../process/shutdown.ts';

/** Longer than the time in which two signals count as one. */
const LATER_MS = 1001;

let events: string[];
let signals: EventEmitter;

beforeEach(() => {
  vi.useFakeTimers();
  events = [];
  signals = new EventEmitter();
  vi.spyOn(process, 'on').mockImplementation((name, listener) => {
    signals.on(name, listener as () => void);
    return process;
  });
  vi.spyOn(process, 'exit').mockImplementation((code) => {
    events.push(`exit ${String(code)}`);
    return undefined as never;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function listen(delayMs: number): void {
  shutDownOnSignals({
    leave: () => void events.push('leave'),
    delayMs,
    shutdown: (signal) => {
      events.push(`shutdown ${signal}`);
      return Promise.resolve();
    },
    log: pino({ level: 'silent' }),
  });
}

/** Lets timers of this time fire, and what waits for them. */
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

test('after SIGTERM a process leaves first, serves on for the delay, and then shuts down', async () => {
  listen(5000);
  signals.emit('SIGTERM');
  expect(events).toEqual(['leave']);
  await pass(4999);
  expect(events).toEqual(['leave']);
  await pass(1);
  expect(events).toEqual(['leave', 'shutdown SIGTERM']);
});

test('a second signal ends the delay, and a third the process; what comes at the same time counts once', async () => {
  listen(60_000);
  signals.emit('SIGTERM');
  signals.emit('SIGINT');
  await pass(LATER_MS);
  expect(events).toEqual(['leave']);
  signals.emit('SIGTERM');
  signals.emit('SIGTERM');
  await pass(0);
  expect(events).toEqual(['leave', 'shutdown SIGTERM']);
  await pass(LATER_MS);
  signals.emit('SIGINT');
  expect(events).toEqual(['leave', 'shutdown SIGTERM', 'exit 1']);
});

test.each([
  ['SIGINT', 5000],
  ['SIGTERM', 0],
] as const)('%s with a delay of %i ms shuts down at once', async (signal, delayMs) => {
  listen(delayMs);
  signals.emit(signal);
  await pass(0);
  expect(events).toEqual(['leave', `shutdown ${signal}`]);
});
