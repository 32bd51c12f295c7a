import { beforeEach, expect, test, vi } from 'vitest';
import { Alarm } from '../../../workflows/conversation/alarm.ts';
import { resetSurroundings } from '../../harness/fake-workflow.ts';

vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../harness/fake-workflow.ts')).workflowModule,
}));

beforeEach(resetSurroundings);

test('an alarm is due from its time on, not before, until it is cleared', async () => {
  const alarm = new Alarm('test');
  expect(alarm).toMatchObject({ isSet: false, due: false });
  alarm.set(Date.now() + 100);
  await vi.advanceTimersByTimeAsync(99);
  expect(alarm).toMatchObject({ isSet: true, due: false });
  await vi.advanceTimersByTimeAsync(1);
  expect(alarm).toMatchObject({ isSet: true, due: true });
  alarm.clear();
  expect(alarm).toMatchObject({ isSet: false, due: false });
});

test('an alarm for a time that has come is due at once and starts no timer', () => {
  const alarm = new Alarm('test');
  alarm.set(Date.now());
  expect(alarm.due).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test('setting a due alarm to a later time makes it not due', async () => {
  const alarm = new Alarm('test');
  alarm.set(Date.now());
  alarm.set(Date.now() + 10);
  expect(alarm.due).toBe(false);
  await vi.advanceTimersByTimeAsync(10);
  expect(alarm.due).toBe(true);
});

test('moving an alarm to a later time again and again costs one timer, and it is due at the last of these times', async () => {
  const alarm = new Alarm('test');
  for (let ms = 100; ms <= 200; ms++) alarm.set(Date.now() + ms);
  alarm.set(Date.now() + 100);
  alarm.set(Date.now() + 200);
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(199);
  expect(alarm.due).toBe(false);
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(alarm.due).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test('moving an alarm to an earlier time makes it due then, and the old timer changes nothing', async () => {
  const alarm = new Alarm('test');
  alarm.set(Date.now() + 100);
  alarm.set(Date.now() + 10);
  await vi.advanceTimersByTimeAsync(10);
  expect(alarm.due).toBe(true);
  alarm.clear();
  alarm.set(Date.now() + 500);
  expect(vi.getTimerCount()).toBe(2);
  await vi.advanceTimersByTimeAsync(90);
  expect(alarm.due).toBe(false);
  // The timer for 100 ms ended without an alarm and set none for the rest: the timer for 500 ms is there.
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(410);
  expect(alarm.due).toBe(true);
});

test('an alarm that was cleared rings no more, and can be set again', async () => {
  const alarm = new Alarm('test');
  alarm.set(Date.now() + 50);
  alarm.clear();
  await vi.advanceTimersByTimeAsync(50);
  expect(alarm.due).toBe(false);
  expect(vi.getTimerCount()).toBe(0);
  alarm.set(Date.now() + 50);
  await vi.advanceTimersByTimeAsync(50);
  expect(alarm.due).toBe(true);
});
