import { expect, test } from 'vitest';
import { backOff } from '../../../push/back-off.ts';
import { PushServices } from '../../../push/services.ts';
import { judgeAnswer } from '../../../push/verdict.ts';

const judge = (kind: 'web-push' | 'gateway', status: number): string => {
  const verdict = judgeAnswer(kind, { status, retryAfterMs: undefined });
  return verdict.state === 'failed' ? verdict.reason : verdict.state;
};

test('what answers mean', () => {
  for (const status of [200, 201, 202, 204]) expect(judge('web-push', status)).toBe('sent');
  for (const status of [404, 410]) expect(judge('gateway', status)).toBe('gone');
  for (const status of [400, 413, 301, 307]) expect(judge('web-push', status)).toBe('refused');
  for (const status of [500, 502, 503, 408]) expect(judge('gateway', status)).toBe('server-error');
  expect(judge('web-push', 429)).toBe('throttled');
  expect([judge('web-push', 403), judge('gateway', 401)]).toEqual(['refused', 'not-authorized']);
});

test('the back-off doubles up to ten minutes, and is never shorter than what the service asks', () => {
  const middle = (): number => 0.5;
  expect([0, 1, 2, 30].map((attempts) => backOff(attempts, undefined, middle))).toEqual([
    5000, 10_000, 20_000, 600_000,
  ]);
  expect(backOff(0, 60_000, middle)).toBe(60_000);
  expect(backOff(0, 1e12, middle)).toBe(6 * 3_600_000);
});

test('a service that fails five times in a row is left alone, and others are served', async () => {
  const services = new PushServices();
  const fails = { value: 'tried', failed: true, askedMs: undefined };
  for (let i = 0; i < 5; i++)
    expect(await services.use('https://a/1', () => Promise.resolve(fails))).toEqual({ value: 'tried' });
  expect(await services.use('https://a/2', () => expect.unreachable())).toHaveProperty('pausedForMs');
  expect(await services.use('https://b/1', () => Promise.resolve({ ...fails, failed: false }))).toEqual({
    value: 'tried',
  });
});

test('a service that asks for time gets it at once', async () => {
  const services = new PushServices();
  await services.use('https://a/1', () => Promise.resolve({ value: 1, failed: true, askedMs: 60_000 }));
  const used = await services.use('https://a/1', () => expect.unreachable());
  expect('pausedForMs' in used && used.pausedForMs > 50_000).toBe(true);
});

test('an answer holds up its service for a minute at most, whatever it asks for: it may be about one target', async () => {
  const services = new PushServices();
  await services.use('https://a/1', () => Promise.resolve({ value: 1, failed: true, askedMs: 9_999_999_000 }));
  const used = await services.use('https://a/2', () => expect.unreachable());
  expect('pausedForMs' in used && used.pausedForMs <= 60_000).toBe(true);
});

test('a service that hangs holds up neither others nor all of its own: what does not fit comes back later', async () => {
  const services = new PushServices();
  let release = (): void => undefined;
  const hangs = new Promise<void>((resolve) => (release = resolve));
  const hanging = Array.from({ length: 1016 }, () =>
    services.use('https://a/1', () => hangs.then(() => ({ value: 1, failed: false, askedMs: undefined }))),
  );
  await new Promise((resolve) => setImmediate(resolve));
  expect(await services.use('https://a/1', () => expect.unreachable())).toHaveProperty('pausedForMs');
  expect(
    await services.use('https://b/1', () => Promise.resolve({ value: 2, failed: false, askedMs: undefined })),
  ).toEqual({
    value: 2,
  });
  release();
  await Promise.all(hanging);
});
