import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { waitUntil } from './wait-until.ts';

/** The secret that test tokens are signed with. */
export const TEST_JWT_SECRET = 'test-secret-test-secret-test-secret-0123456789';

export interface ServiceOptions {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly taskQueue: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A real API or worker process. */
export interface ServiceProcess {
  /** Of the API, or of the worker's health and metrics. */
  readonly url: string;
  readonly pid: number;
  readonly logFile: string;
  /** SIGTERM, and waits for the end. @returns the exit code */
  readonly stop: () => Promise<number | null>;
  /** SIGKILL, and waits for the end. */
  readonly kill9: () => Promise<void>;
  readonly isRunning: () => boolean;
}

/** Starts an API process from `dist` on a free port and waits until it is live (and ready, unless told otherwise). */
export async function startApi(options: ServiceOptions, ready = true): Promise<ServiceProcess> {
  const port = await freePort();
  return start('api', options, { PORT: String(port), HOST: '127.0.0.1' }, port, ready);
}

/** Starts a worker process from `dist` on a free admin port and waits until it polls. */
export async function startWorker(options: ServiceOptions, ready = true): Promise<ServiceProcess> {
  const port = await freePort();
  return start('worker', options, { ADMIN_PORT: String(port), HOST: '127.0.0.1', SDK_METRICS_PORT: '0' }, port, ready);
}

async function start(
  kind: 'api' | 'worker',
  options: ServiceOptions,
  own: Record<string, string>,
  port: number,
  ready: boolean,
): Promise<ServiceProcess> {
  const logFile = path.join(mkdtempSync(path.join(tmpdir(), `parley-${kind}-`)), `${kind}.log`);
  const log = createWriteStream(logFile);
  const child: ChildProcess = spawn(process.execPath, [path.join(packageRoot(), 'dist', kind, 'main.js')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      DATABASE_URL: options.databaseUrl,
      TEMPORAL_ADDRESS: options.temporalAddress,
      TASK_QUEUE: options.taskQueue,
      JWT_SECRET: TEST_JWT_SECRET,
      LOG_LEVEL: 'info',
      ...own,
      ...options.env,
    },
  });
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  const url = `http://127.0.0.1:${port}`;
  // A test that fails must not leave a process behind.
  const onExit = (): void => void child.kill('SIGKILL');
  process.once('exit', onExit);
  void ended.then(() => process.off('exit', onExit));

  await waitUntil(
    async () => {
      if (!isRunning()) throw new Error(`${kind} ended with ${child.exitCode ?? child.signalCode}; see ${logFile}`);
      const response = await fetch(`${url}/health/${ready ? 'ready' : 'live'}`).catch(() => undefined);
      return response?.status === 200;
    },
    { timeoutMs: 30_000, what: `${kind} is ${ready ? 'ready' : 'live'}` },
  );
  return {
    url,
    pid: child.pid ?? 0,
    logFile,
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
    kill9: async () => {
      child.kill('SIGKILL');
      await ended;
    },
    isRunning,
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
