import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { describeExit, startChild } from '../../local/child.ts';
import { freePort, loopback } from '../../local/ports.ts';
import { signalProcess } from '../../local/process-table.ts';
import { waitUntil } from '../harness/wait-until.ts';

export interface NodeProcessOptions {
  readonly name: string;
  /** Compiled script, from the package's folder. */
  readonly script: string;
  readonly args?: readonly string[];
  /** Options of Node itself. */
  readonly nodeArgs?: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** Variable that takes the port of its health. */
  readonly portVariable: 'PORT' | 'ADMIN_PORT';
  /** Writes CPU profiles below this folder when it ends. */
  readonly profileDir?: string | undefined;
}

/** A process of a service under load. */
export interface NodeProcess {
  readonly url: string;
  readonly pid: number;
  readonly logFile: string;
  /** SIGTERM, and SIGKILL if it takes too long; then its log goes too. */
  readonly stop: () => Promise<void>;
}

/** An API or a worker may finish what is in flight before it ends. */
const STOP_GRACE_MS = 30_000;

/** Starts a Node process and waits until it is ready. Its log is a file, so that it costs the load generator nothing. */
export async function startNodeProcess(options: NodeProcessOptions): Promise<NodeProcess> {
  const { name, script, args = [], nodeArgs = [], env, portVariable, profileDir } = options;
  const port = await freePort();
  const logFile = path.join(mkdtempSync(path.join(tmpdir(), 'parley-load-log-')), `${name}.log`);
  // One file for each thread, so the folder carries the name.
  const profile = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${path.join(profileDir, name)}`];
  const child = await startChild({
    command: process.execPath,
    args: [...profile, ...nodeArgs, path.join(packageRoot(), 'dist', script), ...args],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, HOST: loopback, [portVariable]: String(port), ...env },
    logFile,
  });
  const onExit = (): void => void signalProcess(child.pid, 'SIGKILL');
  process.once('exit', onExit);
  let isStopping = false;
  void child.exited.then((exit) => {
    process.off('exit', onExit);
    // What is measured after this is not the service: it must not go unseen.
    if (!isStopping) process.stderr.write(`${name} ended (${describeExit(exit)}):\n${child.tail()}\n`);
  });
  const url = `http://${loopback}:${port}`;
  await waitUntil(
    async () => {
      if (!child.running()) throw new Error(`${name} ended while it started:\n${child.tail()}`);
      const response = await fetch(`${url}/health/ready`).catch(() => undefined);
      await response?.body?.cancel();
      return response?.status === 200;
    },
    { timeoutMs: 60_000, what: `${name} is ready; its log is ${logFile}` },
  );
  return {
    url,
    pid: child.pid,
    logFile,
    stop: async () => {
      isStopping = true;
      await child.stop('SIGTERM', STOP_GRACE_MS);
      rmSync(path.dirname(logFile), { recursive: true, force: true });
    },
  };
}
