import { expect, test } from 'vitest';
import { isOfTheService, readCompilerLine } from '../../../tools/dev/compiler-output.ts';
import { makeRestarts } from '../../../tools/dev/restarts.ts';

test('of what the compiler prints, its end, the files that it wrote and its errors count', () => {
  expect(readCompilerLine('[9:00:00 AM] Found 0 errors. Watching for file changes.')).toEqual({
    kind: 'done',
    errors: 0,
  });
  expect(readCompilerLine('[9:00:00 AM] Found 1 error. Watching for file changes.')).toEqual({
    kind: 'done',
    errors: 1,
  });
  expect(readCompilerLine('TSFILE: /parley/dist/api/app.js')).toEqual({
    kind: 'emitted',
    file: '/parley/dist/api/app.js',
  });
  const error = 'api/app.ts(1,1): error TS2304: Cannot find name';
  expect(readCompilerLine(error)).toEqual({ kind: 'line', text: error });
  expect(readCompilerLine('[9:00:00 AM] File change detected. Starting incremental compilation...')).toBeUndefined();
  expect(readCompilerLine('')).toBeUndefined();
});

test.each([
  ['/parley/dist/api/app.js', true],
  ['/parley/dist/workflows/conversation/workflow.js', true],
  ['/parley/dist/api/app.js.map', false],
  ['/parley/dist/test/harness/service.js', false],
  ['/parley/dist/tools/dev/main.js', false],
])('API and worker run %s: %s', (file, expected) => {
  expect(isOfTheService(file)).toBe(expected);
});

test('requests that come during a restart are served by one more, and none begins after the end', async () => {
  const ends: (() => void)[] = [];
  const restarts = makeRestarts(() => new Promise((resolve) => ends.push(resolve)));
  restarts.request();
  restarts.request();
  restarts.request();
  expect(ends).toHaveLength(1);
  ends[0]?.();
  await expect.poll(() => ends.length).toBe(2);
  restarts.request();
  const stopped = restarts.stop();
  ends[1]?.();
  await stopped;
  restarts.request();
  expect(ends).toHaveLength(2);
});
