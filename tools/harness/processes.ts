import path from 'node:path';
import { describeExit, startChild } from '../../local/child.ts';
import { freePort, loopback } from '../../local/ports.ts';
import { signalProcess } from '../../local/process-table.ts';
import { packageRoot } from '../../process/package-root.ts';
import { atExit } from './at-exit.ts';
import { LIMITS_OFF } from './limits-off.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { SECRET } from './tokens.ts';
import { waitUntil } from './wait-until.ts';

/** A process of a service. */
export interface ServiceProcess {
  readonly name: string;
  /** Of the API, or of the worker's health and metrics. */
  readonly url: string;
  readonly pid: number;
  /** Everything that it wrote. The file is there until it is stopped. */
  readonly logFile: string;
  /** The last lines of its log. */
  readonly tail: () => string;
  /** SIGTERM, and SIGKILL if it takes too long; waits for the end. @returns the exit code */
  readonly stop: () => Promise<number | null>;
  /** SIGKILL, and waits for the end. */
  readonly kill9: () => Promise<void>;
  readonly isRunning: () => boolean;
}

export interface NodeProcessOptions {
  readonly name: string;
  /** Compiled script below `dist`. */
  readonly script: string;
  readonly args?: readonly string[];
  /** Options of Node itself. */
  readonly nodeArgs?: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** The variable that takes the port of its health. */
  readonly portVariable: 'PORT' | 'ADMIN_PORT';
  /** False: waits only until it is live. @default true */
  readonly ready?: boolean;
  /** Writes CPU profiles below this folder when it ends. */
  readonly profileDir?: string | undefined;
  /** Folder of the package whose `dist` it runs: another build. @default this package */
  readonly root?: string | undefined;
}

/** What an API or a worker of a service has in common with the others. */
export interface ServiceOptions {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly taskQueue: string;
  /** Wins over everything else. */
  readonly env?: Readonly<Record<string, string>>;
  /** Folder of the package whose `dist` runs: another build. @default this package */
  readonly root?: string;
}

const START_TIMEOUT_MS = 60_000;
/** Tries to find a port that is still free when the process listens. */
const PORT_TRIES = 3;
/** Longer than an API or a worker may take to finish what is in flight. */
const STOP_GRACE_MS = 60_000;

/** Starts an API process from `dist` on a free port and waits until it is live (and ready, by default). */
export function startApi(options: ServiceOptions, ready = true): Promise<ServiceProcess> {
  const env = environmentOf(options);
  return startNodeProcess({ name: 'api', script: 'api/main.js', portVariable: 'PORT', env, ready, root: options.root });
}

/** Starts a worker process from `dist` on a free port for its health and waits until it polls. */
export function startWorker(options: ServiceOptions, ready = true): Promise<ServiceProcess> {
  const env = { SDK_METRICS_PORT: '0', ...environmentOf(options) };
  return startNodeProcess({
    name: 'worker',
    script: 'worker/main.js',
    portVariable: 'ADMIN_PORT',
    env,
    ready,
    root: options.root,
  });
}

/**
 * Starts a Node process and waits until its health says that it is ready. Its log is a file: reading a pipe would cost time
 * that a load generator does not have. It ends when this process ends, however that happens.
 */
export async function startNodeProcess(options: NodeProcessOptions): Promise<ServiceProcess> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnFreePort(options);
    } catch (error) {
      // Between the choice of a free port and its use another process may take it.
      if (attempt === PORT_TRIES || !String(error).includes('is already in use')) throw error;
    }
  }
}

async function startOnFreePort(options: NodeProcessOptions): Promise<ServiceProcess> {
  const {
    name,
    script,
    args = [],
    nodeArgs = [],
    env,
    portVariable,
    ready = true,
    profileDir,
    root = packageRoot(),
  } = options;
  const port = await freePort();
  const folder = temporaryFolder('log');
  const logFile = path.join(folder.path, `${name}.log`);
  // Each thread writes a file of its own, so the folder carries the name.
  const profile = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${path.join(profileDir, name)}`];
  const { PATH, HOME, TMPDIR } = process.env;
  const child = await startChild({
    command: process.execPath,
    args: [...profile, ...nodeArgs, path.join(root, 'dist', script), ...args],
    env: { PATH, HOME, TMPDIR, PARLEY_SUPERVISED: '1', HOST: loopback, [portVariable]: String(port), ...env },
    logFile,
    ipc: true,
  });
  const forget = atExit(() => void signalProcess(child.pid, 'SIGKILL'));
  let isStopping = false;
  const ended = child.exited.then((exit) => {
    forget();
    // Printed by itself, so that a reader of the failure needs no other file.
    if (!isStopping) process.stderr.write(`${name} ended by itself (${describeExit(exit)}):\n${child.tail()}\n`);
    return exit.code;
  });
  const stop = async (signal: NodeJS.Signals): Promise<number | null> => {
    isStopping = true;
    await child.stop(signal, STOP_GRACE_MS);
    const code = await ended;
    folder.remove();
    return code;
  };
  const url = `http://${loopback}:${port}`;
  try {
    await waitUntil(
      async () => {
        if (!child.running()) throw new Error(`${name} ended while it started`);
        const response = await fetch(`${url}/health/${ready ? 'ready' : 'live'}`).catch(() => undefined);
        await response?.body?.cancel();
        return response?.status === 200;
      },
      { timeoutMs: START_TIMEOUT_MS, what: `${name} is ${ready ? 'ready' : 'live'}` },
    );
  } catch (cause) {
    const lastLines = child.tail();
    await stop('SIGKILL');
    throw new Error(`${name} did not start: ${String(cause)}. Its last lines:\n${lastLines}`, { cause });
  }
  return {
    name,
    url,
    pid: child.pid,
    logFile,
    tail: () => child.tail(),
    stop: () => stop('SIGTERM'),
    kill9: async () => {
      await stop('SIGKILL');
    },
    isRunning: child.running,
  };
}

/** The environment of a process of a service; a program that is no API and no worker of ours takes it as well. */
export function environmentOf({
  databaseUrl,
  temporalAddress,
  taskQueue,
  env,
}: ServiceOptions): Record<string, string> {
  return {
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: temporalAddress,
    TASK_QUEUE: taskQueue,
    JWT_SECRET: SECRET,
    // Tests wait for tokens to expire.
    JWT_CLOCK_TOLERANCE: '0s',
    LOG_LEVEL: 'info',
    // No balancer has to notice that a process leaves.
    SHUTDOWN_DELAY_MS: '0',
    ...LIMITS_OFF,
    ...env,
  };
}
