import { expect, test } from 'vitest';
import { ExpectedWait } from '../../../dispatch/expected-wait.ts';

interface Batch {
  readonly end: () => Promise<void>;
}

function begin(wait: ExpectedWait): Batch {
  let resolve: () => void = () => undefined;
  const running = wait.measure(() => new Promise<void>((done) => (resolve = done)));
  return {
    end: () => {
      resolve();
      return running;
    },
  };
}

test('it is the batches in front, divided by the rate at which they end', async () => {
  let now = 0;
  const wait = new ExpectedWait(2, () => now);
  const batches = Array.from({ length: 42 }, () => begin(wait));
  // 100 a second.
  for (let i = 0; i < 20; i++) {
    now += 10;
    await batches.shift()?.end();
    batches.push(begin(wait));
  }
  expect(wait.ms()).toBeGreaterThan(350);
  expect(wait.ms()).toBeLessThan(450);
});

test('nobody waits while there is a free server, however slow the batches are', async () => {
  let now = 0;
  const wait = new ExpectedWait(2, () => now);
  for (let i = 0; i < 10; i++) {
    const batch = begin(wait);
    now += 900;
    await batch.end();
  }
  begin(wait);
  begin(wait);
  expect(wait.ms()).toBe(0);
});

test('batches that are stuck, as behind a locked row, do not count', async () => {
  let now = 0;
  const wait = new ExpectedWait(2, () => now);
  Array.from({ length: 50 }, () => begin(wait));
  for (let i = 0; i < 30; i++) {
    const batch = begin(wait);
    now += 10;
    await batch.end();
  }
  expect(wait.ms()).toBeGreaterThan(0);
  now += 1001;
  begin(wait);
  expect(wait.ms()).toBe(0);
});
