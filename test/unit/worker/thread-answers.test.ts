import path from 'node:path';
import { Worker, type MessagePort } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { makeThreadAnswers } from '../../../worker/thread-answers.ts';

/** Far more than a thread needs. */
const PATIENT_MS = 20_000;
const SHORT_MS = 50;

/** From `dist`: threads run compiled files. */
const MODULE = path.join(packageRoot(), 'dist', 'worker', 'thread-answers.js');
/** Answers, and stands still while the first place of `gate` is 1, as workflow code that never ends. */
const SCRIPT = `
const { workerData: { port, gate }, parentPort } = require('node:worker_threads');
import(${JSON.stringify(MODULE)}).then(({ answerPings }) => answerPings(port));
parentPort.on('message', () => { Atomics.store(gate, 1, 1); Atomics.wait(gate, 0, 1); });
`;

function startThread(port: MessagePort): { readonly thread: Worker; readonly gate: Int32Array } {
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const thread = new Worker(SCRIPT, { eval: true, workerData: { port, gate }, transferList: [port] });
  onTestFinished(async () => {
    await thread.terminate();
  });
  return { thread, gate };
}

test('threads that work answer, one that stands still does not, and answers again afterwards', async () => {
  const answers = makeThreadAnswers();
  expect(await answers.ask(SHORT_MS)).toBe(false);
  startThread(answers.addThread());
  const { thread, gate } = startThread(answers.addThread());
  expect(await answers.ask(PATIENT_MS)).toBe(true);

  Atomics.store(gate, 0, 1);
  thread.postMessage('stand still');
  await waitUntil(() => Atomics.load(gate, 1) === 1, { what: 'it stands still' });
  // The other one answers.
  expect(await answers.ask(SHORT_MS)).toBe(false);
  Atomics.store(gate, 0, 0);
  Atomics.notify(gate, 0);
  expect(await answers.ask(PATIENT_MS)).toBe(true);

  await thread.terminate();
  expect(await answers.ask(SHORT_MS)).toBe(false);
});
