import { createRequire } from 'node:module';
import v8 from 'node:v8';
import { workerData } from 'node:worker_threads';
import { ALLOWED, REFUSED, type ThreadData } from './promise-hook.ts';
import { answerPings } from './thread-answers.ts';

// Runs in each thread for workflow code, before the SDK's own script (see `promise-hook.ts`).

const { script, counts, port } = workerData as ThreadData;
answerPings(port);
const { createHook } = v8.promiseHooks;

// The SDK takes an error as "not available". Node itself calls this function too, with `before` and `after`, for
// `AsyncLocalStorage`, which workflow code needs. So only the one call of the SDK fails.
v8.promiseHooks.createHook = (callbacks) => {
  if ('before' in callbacks || Atomics.load(counts, ALLOWED) === 1) return createHook(callbacks);
  v8.promiseHooks.createHook = createHook;
  Atomics.add(counts, REFUSED, 1);
  throw new Error('The promise hook is off');
};

// The SDK reports the missing hook on the console, with text that is not for our log. The worker logs it.
const { warn } = console;
Object.assign(console, {
  warn: (...values: unknown[]): void => {
    const [first] = values;
    if (typeof first !== 'string' || !first.startsWith('v8.promiseHooks.createHook')) warn(...values);
  },
});

createRequire(import.meta.url)(script);
