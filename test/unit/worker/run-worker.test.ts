import { expect, test } from 'vitest';
import { runWorker } from '../../../worker/run-worker.ts';

/** Like a worker of the SDK: it ends when somebody shuts it down, which is an error before it runs. */
function makeWorker(): { readonly run: () => Promise<void>; readonly shutdown: () => void } {
  let end: (() => void) | undefined;
  return {
    run: () => new Promise<void>((resolve) => (end = resolve)),
    shutdown: () => {
      if (end === undefined) throw new Error('Not running');
      end();
    },
  };
}

test('a worker that was created while the signal came does not run on', async () => {
  await runWorker(makeWorker(), AbortSignal.abort());
});

test('otherwise it runs until the SDK stops it', async () => {
  const worker = makeWorker();
  let hasEnded = false;
  const running = runWorker(worker, new AbortController().signal).then(() => (hasEnded = true));
  await Promise.resolve();
  expect(hasEnded).toBe(false);
  worker.shutdown();
  await running;
});
