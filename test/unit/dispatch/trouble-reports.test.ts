import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makeTroubleReports } from '../../../dispatch/trouble-reports.ts';
import type { TroubleReport } from '../../../store/trouble/troubles.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function start(fails = false): {
  reports: ReturnType<typeof makeTroubleReports>;
  stored: (readonly TroubleReport[])[];
} {
  const stored: (readonly TroubleReport[])[] = [];
  const reports = makeTroubleReports({
    store: (some) => {
      stored.push(some);
      return fails ? Promise.reject(new Error('away')) : Promise.resolve();
    },
    log: pino({ level: 'silent' }),
  });
  return { reports, stored };
}

test('what is seen within a second is one statement, with one report for each conversation and sign', async () => {
  const { reports, stored } = start();
  for (let i = 0; i < 100; i++) reports.report('a', 'timeouts', { i });
  reports.report('a', 'mailbox-full');
  reports.report('b', 'timeouts');
  expect(stored).toEqual([]);
  await vi.advanceTimersByTimeAsync(1000);
  expect(stored).toEqual([
    [
      { conversation: 'a', sign: 'timeouts', details: { i: 99 } },
      { conversation: 'a', sign: 'mailbox-full', details: {} },
      { conversation: 'b', sign: 'timeouts', details: {} },
    ],
  ]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(stored).toHaveLength(1);
  reports.close();
});

test('reports are bounded, and while they cannot be stored they are dropped', async () => {
  const { reports, stored } = start(true);
  for (let i = 0; i < 2000; i++) reports.report(`c${i}`, 'timeouts');
  await vi.advanceTimersByTimeAsync(1000);
  expect(stored[0]).toHaveLength(500);
  reports.report('later', 'timeouts');
  await vi.advanceTimersByTimeAsync(1000);
  expect(stored[1]?.map(({ conversation }) => conversation)).toEqual(['later']);
  reports.close();
});
