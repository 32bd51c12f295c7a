import { randomInt } from 'node:crypto';
import { createServer, connect } from 'node:net';
import { LOOPBACK } from '../process/listen.ts';
import type { StackOptions } from './options.ts';

/** All servers of the local stack listen on this address. */
export const loopback = LOOPBACK;

/**
 * Ports below those that systems give to outgoing connections and to servers that ask for any port (Linux: from 32768 on, others: from
 * 49152). Each process has a block of its own, so that two that start servers at the same time do not find the same port.
 */
const FIRST_PORT = 10_000;
const BLOCK = 100;
const BLOCKS = 220;
let next = randomInt(BLOCK);

/** Finds a port that is free at this moment. A second call finds another one, also before the first is used. */
export async function freePort(): Promise<number> {
  const block = FIRST_PORT + (process.pid % BLOCKS) * BLOCK;
  for (let tries = 0; tries < BLOCK; tries++) {
    const port = block + next;
    next = (next + 1) % BLOCK;
    if ((await portProblem(port)) === undefined) return port;
  }
  return listenOnce(0, loopback);
}

/**
 * Checks all ports of the stack before anything starts.
 * @throws Error that lists all busy ports
 */
export async function assertStackPortsFree({
  ports,
  databaseUrl,
  temporalAddress,
  observe,
}: StackOptions): Promise<void> {
  const wanted: [port: number, what: string, variable: string][] = [
    [ports.api, 'the API', 'PORT'],
    [ports.admin, "the worker's health and metrics", 'ADMIN_PORT'],
  ];
  if (ports.sdkMetrics !== 0) wanted.push([ports.sdkMetrics, "the worker's Temporal metrics", 'SDK_METRICS_PORT']);
  if (databaseUrl === undefined) wanted.push([ports.postgres, 'PostgreSQL', 'POSTGRES_PORT']);
  if (temporalAddress === undefined) {
    wanted.push([ports.temporal, 'Temporal', 'TEMPORAL_PORT']);
    wanted.push([ports.temporalUi, 'the Temporal Web UI', 'TEMPORAL_UI_PORT']);
  }
  if (observe) {
    wanted.push([ports.prometheus, 'Prometheus', 'PROMETHEUS_PORT']);
    wanted.push([ports.grafana, 'Grafana', 'GRAFANA_PORT']);
  }
  const results = await Promise.allSettled(wanted.map((entry) => assertPortFree(...entry)));
  const problems = results.flatMap((result) =>
    result.status === 'rejected' ? [(result.reason as Error).message] : [],
  );
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

/**
 * Checks that a port is free.
 * @param what user of the port, for the message
 * @param variable environment variable that sets the port, for the message
 * @throws Error that says what to change
 */
export async function assertPortFree(port: number, what: string, variable: string): Promise<void> {
  const problem = await portProblem(port);
  if (problem !== undefined) {
    throw new Error(`Port ${port}, needed for ${what}, ${problem}. Set ${variable} to another port.`);
  }
}

async function portProblem(port: number): Promise<string | undefined> {
  // A server on all addresses also answers here. Some systems allow a second server on the loopback address beside it.
  if (await portAnswers(port)) return 'is already in use';
  for (const host of [loopback, '0.0.0.0']) {
    try {
      await listenOnce(port, host);
    } catch (error) {
      const { code = 'unknown error' } = error as NodeJS.ErrnoException;
      return code === 'EADDRINUSE' ? 'is already in use' : `cannot be opened (${code})`;
    }
  }
  return undefined;
}

/** Whether a server accepts connections on a port. */
export function portAnswers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: loopback });
    const finish = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
    socket.setTimeout(1_000, () => finish(false));
  });
}

function listenOnce(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}
