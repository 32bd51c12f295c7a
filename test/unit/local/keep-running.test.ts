import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startChild, type Child } from '../../../local/child.ts';
import { keepRunning, type Running } from '../../../local/keep-running.ts';
import { processIdentity, signalProcess } from '../../../local/process-table.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { testFolder } from '../../harness/folder.ts';

type Starts = { start: () => Promise<Running & { pid: number }>; children: Child[] };

/** Starts processes that do nothing for a minute. */
function starts(): Starts {
  const folder = testFolder();
  const children: Child[] = [];
  onTestFinished(() => void children.map(({ pid }) => signalProcess(pid, 'SIGKILL')));
  const start = async (): Promise<Running & { pid: number }> => {
    const child = await startChild({
      command: process.execPath,
      args: ['-e', 'setTimeout(() => {}, 60_000)'],
      logFile: path.join(folder, 'log'),
    });
    children.push(child);
    return { pid: child.pid, exited: child.exited, stop: () => child.stop('SIGTERM', 5_000) };
  };
  return { start, children };
}

test('what ends is started again, and each line says how often in a row', async () => {
  const { start, children } = starts();
  const said: string[] = [];
  const first = await start();
  const kept = keepRunning({ name: 'Part', first, start, details: () => ' More.', say: (line) => said.push(line) });
  onTestFinished(kept.stop);
  for (const count of [2, 3]) {
    signalProcess(children.at(-1)?.pid ?? 0, 'SIGKILL');
    await waitUntil(() => children.length === count, { what: `start ${count}` });
  }
  expect(said).toEqual([
    'Part: ended unexpectedly (SIGKILL); restarting in 0.5 s. More.',
    'Part: ended unexpectedly (SIGKILL), 2 times in a row; restarting in 1 s. More.',
  ]);
});

test('what a person ends again and again does not count, and every pause is the shortest', async () => {
  const { start, children } = starts();
  const said: string[] = [];
  let ends = 0;
  const kept = keepRunning({
    name: 'Part',
    first: await start(),
    start,
    details: () => '',
    say: (line) => said.push(line),
    onEnd: () => {
      ends += 1;
    },
    wasExpected: () => ends !== 3,
  });
  onTestFinished(kept.stop);
  for (const count of [2, 3, 4, 5]) {
    signalProcess(children.at(-1)?.pid ?? 0, 'SIGKILL');
    await waitUntil(() => children.length === count, { what: `start ${count}` });
  }
  const asked = 'Part: ended as the web app asked (SIGKILL); restarting in 0.5 s.';
  expect(said).toEqual([asked, asked, 'Part: ended unexpectedly (SIGKILL); restarting in 1 s.', asked]);
});

test('a start that fails is tried again, also the first', async () => {
  const { start, children } = starts();
  const said: string[] = [];
  let tries = 0;
  const kept = keepRunning({
    name: 'Part',
    first: undefined,
    start: () => (++tries === 1 ? Promise.reject(new Error('the port is busy')) : start()),
    details: () => '',
    say: (line) => said.push(line),
  });
  onTestFinished(kept.stop);
  await waitUntil(() => children.length === 1, { what: 'it runs' });
  expect(said).toEqual(['Part: the port is busy, 2 times in a row; restarting in 1 s.']);
});

test('a stop during a restart leaves nothing running', async () => {
  const { start, children } = starts();
  let arrive: () => void = () => undefined;
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  let goOn: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (goOn = resolve));
  const kept = keepRunning({
    name: 'Part',
    first: await start(),
    start: async () => {
      const again = await start();
      arrive();
      await held;
      return again;
    },
    details: () => '',
    say: () => undefined,
  });
  signalProcess(children[0]?.pid ?? 0, 'SIGKILL');
  await arrived;
  const stopped = kept.stop();
  goOn();
  await stopped;
  expect(children.map(({ pid }) => processIdentity(pid))).toEqual([undefined, undefined]);
});

test('a process that is stopped by a signal ends when it is asked to, and not only when it is killed', async () => {
  const { start } = starts();
  const one = await start();
  signalProcess(one.pid, 'SIGSTOP');
  await one.stop();
  expect(await one.exited).toEqual({ code: null, signal: 'SIGTERM' });
});

test('the log of the supervisor says nothing about a stop', async () => {
  const { start } = starts();
  const said: string[] = [];
  const kept = keepRunning({
    name: 'Part',
    first: await start(),
    start,
    details: () => '',
    say: (line) => said.push(line),
  });
  await kept.stop();
  expect(said).toEqual([]);
});
