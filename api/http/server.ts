import { type RequestListener, type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';

/** Above the idle time of common load balancers (60 s), so that they, and not we, close first. */
const KEEP_ALIVE_MS = 65_000;
const HEADERS_MS = 15_000;
/** A whole request with its body. */
const REQUEST_MS = 30_000;
const CHECK_MS = 5000;
/** Idle connections that became so while draining are looked for this often. */
const DRAIN_POLL_MS = 50;

export interface ServerOptions {
  readonly handler: RequestListener;
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** Time for requests in flight after the shutdown began. */
  readonly graceMs: number;
  readonly log: Logger;
  /** Readiness goes off here. */
  readonly onDraining: () => void;
  /** Tells every stream to reconnect, and ends it. */
  readonly closeStreams: () => void;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** Drains and closes; later calls wait for the same. @returns false when requests had to be cut off */
  readonly shutdown: () => Promise<boolean>;
}

/** Starts the HTTP server. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const server = createServer({ connectionsCheckingInterval: CHECK_MS, noDelay: true }, options.handler);
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.headersTimeout = HEADERS_MS;
  server.requestTimeout = REQUEST_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { port } = server.address() as AddressInfo;
  const host = options.host === '0.0.0.0' || options.host === '::' ? '127.0.0.1' : options.host;
  let ending: Promise<boolean> | undefined;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    shutdown: () => (ending ??= drain(server, options)),
  };
}

async function drain(server: Server, { graceMs, log, onDraining, closeStreams }: ServerOptions): Promise<boolean> {
  log.info({ graceMs }, 'shutting down');
  onDraining();
  const state = { isClosed: false };
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      state.isClosed = true;
      resolve();
    });
  });
  closeStreams();
  const until = Date.now() + graceMs;
  while (!state.isClosed && Date.now() < until) {
    server.closeIdleConnections();
    await Promise.race([closed, sleep(DRAIN_POLL_MS)]);
  }
  if (state.isClosed) return true;
  log.warn('requests were cut off after the grace period');
  server.closeAllConnections();
  await closed;
  return false;
}
