import { expect, test } from 'vitest';
import { LockWaits } from '../../../store/decision/lock-waits.ts';

const LATER = Date.now() + 60_000;

/** Statements that end when the test says so. */
function makeStatements(): {
  start: (name: string) => () => Promise<string>;
  end: (name: string) => void;
  running: string[];
} {
  const ends = new Map<string, () => void>();
  const running: string[] = [];
  return {
    running,
    start: (name) => () =>
      new Promise((resolve) => {
        running.push(name);
        ends.set(name, () => {
          running.splice(running.indexOf(name), 1);
          resolve(name);
        });
      }),
    end: (name) => ends.get(name)?.(),
  };
}

test('no more than so many wait at a time, and who has waited in vain comes after the others', async () => {
  const waits = new LockWaits(2);
  const { start, end, running } = makeStatements();
  const results = Promise.all([
    waits.run(0, LATER, start('a')),
    waits.run(0, LATER, start('b')),
    waits.run(2, LATER, start('twice')),
    waits.run(1, LATER, start('once')),
    waits.run(0, LATER, start('new')),
  ]);
  expect(running).toEqual(['a', 'b']);
  expect(waits.counts).toEqual({ running: 2, waiting: 3 });
  for (const [ended, next] of [
    ['a', ['b', 'new']],
    ['b', ['new', 'once']],
    ['new', ['once', 'twice']],
  ] as const) {
    end(ended);
    await expect.poll(() => running).toEqual(next);
  }
  end('once');
  end('twice');
  expect(await results).toEqual(['a', 'b', 'twice', 'once', 'new']);
  expect(waits.counts).toEqual({ running: 0, waiting: 0 });
});

test('a statement that gets no turn in time never starts, and a failed one gives its place back', async () => {
  const waits = new LockWaits(1);
  const { start, end, running } = makeStatements();
  const first = waits.run(0, LATER, start('first'));
  expect(await waits.run(0, Date.now(), start('late'))).toBeUndefined();
  expect(running).toEqual(['first']);
  end('first');
  await first;
  await expect(waits.run(0, LATER, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
  const last = waits.run(0, LATER, start('last'));
  end('last');
  expect(await last).toBe('last');
});
