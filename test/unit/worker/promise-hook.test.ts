import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import workerThreads, { type Worker } from 'node:worker_threads';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import type * as PromiseHook from '../../../worker/promise-hook.ts';
import { testFolder } from '../../harness/folder.ts';

// From `dist`: threads run compiled files.
const { withOurThreads } = (await import(
  path.join(packageRoot(), 'dist', 'worker', 'promise-hook.js')
)) as typeof PromiseHook;

/** What the SDK's script does, as far as it matters: asks for the hook, runs on without it, and uses AsyncLocalStorage. */
const ASKS = `
const v8 = require('node:v8');
const { parentPort } = require('node:worker_threads');
const { AsyncLocalStorage } = require('node:async_hooks');
const ask = () => { try { v8.promiseHooks.createHook({ init() {}, settled() {} })(); return 'given'; } catch { return 'refused'; } };
const first = ask();
const storage = new AsyncLocalStorage();
storage.run('kept', async () => {
  await undefined;
  parentPort.postMessage({ first, second: ask(), stored: storage.getStore() });
});
`;
const DOES_NOT_ASK = `require('node:worker_threads').parentPort.postMessage({ first: 'nothing' });`;
const FAILS = `throw new Error('this version needs the hook')`;

/** Starts threads as the SDK does. */
function threads(script: string, count = 1): () => Promise<unknown[]> {
  const file = path.join(testFolder(), 'workflow-worker-thread.js');
  return () => {
    writeFileSync(file, script);
    const all: Worker[] = Array.from({ length: count }, () => new workerThreads.Worker(file));
    return Promise.all(all.map(async (thread) => ((await once(thread, 'message')) as unknown[])[0]));
  };
}

const log = pino({ level: 'silent' });

test('the SDK is refused the hook once in each thread, and AsyncLocalStorage works', async () => {
  const { worker, isOff } = await withOurThreads(threads(ASKS, 2), { promiseHook: false, log });
  const found = { first: 'refused', second: 'given', stored: 'kept' };
  expect(worker).toEqual([found, found]);
  expect(isOff).toBe(true);
});

test('a version of the SDK that does not ask for the hook runs, and the log has a warning', async () => {
  const lines: string[] = [];
  const warns = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  const { worker, isOff } = await withOurThreads(threads(DOES_NOT_ASK), { promiseHook: false, log: warns });
  expect(worker).toEqual([{ first: 'nothing' }]);
  expect(isOff).toBe(false);
  expect(lines.join('')).toContain('cannot be switched off');
});

test('an SDK that cannot start without the hook starts with it', async () => {
  const scripts = [FAILS, ASKS];
  const { worker, isOff } = await withOurThreads(() => threads(scripts.shift() ?? '')(), { promiseHook: false, log });
  expect(worker).toMatchObject([{ first: 'given' }]);
  expect(isOff).toBe(false);
});

test('other threads, and threads that start later, are as always', async () => {
  const { Worker: before } = workerThreads;
  await withOurThreads(threads(ASKS), { promiseHook: false, log });
  expect(workerThreads.Worker).toBe(before);
  expect(await threads(ASKS)()).toMatchObject([{ first: 'given' }]);
});
