import { type RequestListener, type Server, createServer, maxHeaderSize } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { hostAndPort, listenAddress, listenOn, reachableAddress } from '../../process/listen.ts';
import { answerBadHeads } from './bad-heads.ts';
import type { MessageClasses } from './message-classes.ts';

/**
 * Longer than the idle time of common load balancers (60 s). So the load balancer closes an idle connection first, and does
 * not send a request on a connection that we close.
 */
const KEEP_ALIVE_MS = 65_000;
/** Time for the headers of a request, and for the first byte of a new connection. */
const HEADERS_MS = 15_000;
/** Time for a whole request with its body. */
const REQUEST_MS = 30_000;
/** Pause between checks of these two times. */
const CHECK_MS = 5000;
/** Pause between searches for connections that became idle during the shutdown. */
const DRAIN_POLL_MS = 50;

export interface ServerOptions {
  readonly handler: RequestListener;
  /** @default Node's own */
  readonly classes?: MessageClasses;
  /** An IP address or a name; `::` = all addresses. */
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** Bytes of all headers of a request. @default Node's own, 16 KB */
  readonly maxHeaderBytes?: number;
  /** Exact origins whose pages may use the API. @default none */
  readonly corsOrigins?: readonly string[];
  /** Milliseconds that running requests have to finish after the start of the shutdown. */
  readonly graceMs: number;
  readonly log: Logger;
  /** Called at the start of the shutdown. From now on, the process must not be ready. */
  readonly onDraining: () => void;
  /** Milliseconds. @default 15 s, looked at every 5 s */
  readonly headers?: { readonly withinMs: number; readonly checkMs: number };
  /** Sends `reconnect` to every stream, and ends it. */
  readonly closeStreams: () => void;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** Lets running requests finish, and closes the server. Later calls wait for the same shutdown. @returns false if requests were cut off */
  readonly shutdown: () => Promise<boolean>;
}

/** Starts the HTTP server. @throws StartError if it cannot listen */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { headers = { withinMs: HEADERS_MS, checkMs: CHECK_MS } } = options;
  const server = createServer(
    {
      ...options.classes,
      connectionsCheckingInterval: headers.checkMs,
      noDelay: true,
      ...(options.maxHeaderBytes === undefined ? {} : { maxHeaderSize: options.maxHeaderBytes }),
    },
    options.handler,
  );
  answerBadHeads(server, options.maxHeaderBytes ?? maxHeaderSize, options.corsOrigins);
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.headersTimeout = headers.withinMs;
  server.requestTimeout = REQUEST_MS;
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const address = await listenAddress(options.host);
  const port = await listenOn(server, { address, port: options.port, variable: 'PORT' });
  let ending: Promise<boolean> | undefined;
  return {
    url: `http://${hostAndPort(reachableAddress(address), port)}`,
    port,
    shutdown: () => (ending ??= drain(server, sockets, options)),
  };
}

async function drain(
  server: Server,
  sockets: ReadonlySet<Socket>,
  { graceMs, log, onDraining, closeStreams }: ServerOptions,
): Promise<boolean> {
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
    // Browsers and Node.js connect before they have a request. Such a connection is not idle for Node.js: it would wait for a request.
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
    await Promise.race([closed, sleep(DRAIN_POLL_MS)]);
  }
  if (state.isClosed) return true;
  log.warn('requests were cut off after the grace period');
  server.closeAllConnections();
  await closed;
  return false;
}
