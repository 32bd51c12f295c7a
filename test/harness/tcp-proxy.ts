import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';

/** What a proxy does with a chunk that it is about to pass on. */
export type Verdict = 'pass' | 'drop' | 'cut';

/** One connection through the proxy; tests may note things on it. */
export interface ProxiedConnection {
  readonly notes: Map<string, unknown>;
}

/** Looks at each chunk before it is passed on. `drop` loses it, `cut` breaks the connection instead of passing it on. */
export type Inspect = (direction: 'request' | 'answer', chunk: Buffer, connection: ProxiedConnection) => Verdict;

/** A TCP proxy in front of one server, which misbehaves as networks do. */
export interface TcpProxy {
  readonly port: number;
  /** host:port */
  readonly address: string;
  /** Connections that are open now. */
  readonly connections: () => number;
  /** Breaks every open connection; new ones are fine. */
  readonly cut: () => void;
  /** Breaks every connection and refuses new ones, as if the server's process were gone. */
  readonly refuse: () => Promise<void>;
  /** Holds every chunk back for this long, in both directions. */
  readonly delay: (ms: number) => void;
  /**
   * Swallows everything and tells nobody, as a firewall that lost its state does: open connections stay half-open for
   * ever, new ones are taken and never answered.
   */
  readonly blackHole: () => void;
  /** Sets what looks at each chunk; none = everything passes. */
  readonly inspect: (inspect?: Inspect) => void;
  /** New connections work again. What fell into the black hole stays there. */
  readonly heal: () => Promise<void>;
  readonly close: () => Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  readonly connection: ProxiedConnection;
  swallowed: boolean;
}

/** @param target host:port of the server behind it */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const split = target.lastIndexOf(':');
  const host = target.slice(0, split);
  const targetPort = Number(target.slice(split + 1));
  const pairs = new Set<Pair>();
  let isBlackHole = false;
  let delayMs = 0;
  let look: Inspect | undefined;

  const end = (pair: Pair): void => {
    if (!pairs.delete(pair)) return;
    pair.client.resetAndDestroy();
    pair.server.destroy();
  };
  const forward = (pair: Pair, direction: 'request' | 'answer'): void => {
    const [from, to] = direction === 'request' ? [pair.client, pair.server] : [pair.server, pair.client];
    const send = (act: () => void): void => {
      // Timers of the same length fire in order, so chunks keep theirs.
      if (delayMs === 0) act();
      else setTimeout(act, delayMs);
    };
    from.on('data', (chunk) => {
      if (pair.swallowed) return;
      const verdict = look?.(direction, chunk, pair.connection) ?? 'pass';
      if (verdict === 'cut') end(pair);
      if (verdict !== 'pass') return;
      send(() => {
        if (pair.swallowed || to.destroyed || to.write(chunk)) return;
        from.pause();
        to.once('drain', () => from.resume());
      });
    });
    from.on('end', () => {
      if (!pair.swallowed) send(() => to.end());
    });
    from.on('error', () => {
      if (!pair.swallowed) end(pair);
    });
    from.on('close', () => {
      if (from.destroyed && to.destroyed) pairs.delete(pair);
    });
  };

  const listen = (port: number): Promise<Server> =>
    new Promise((resolve, reject) => {
      const server = createServer({ allowHalfOpen: true }, (client) => {
        const upstream = connect({ host, port: targetPort, allowHalfOpen: true });
        const pair = { client, server: upstream, connection: { notes: new Map() }, swallowed: isBlackHole };
        pairs.add(pair);
        for (const socket of [client, upstream]) socket.setNoDelay(true);
        forward(pair, 'request');
        forward(pair, 'answer');
      });
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => resolve(server));
    });
  let server: Server | undefined = await listen(0);
  const { port } = server.address() as AddressInfo;

  const cut = (): void => pairs.forEach(end);
  const stopListening = async (): Promise<void> => {
    const listening = server;
    server = undefined;
    if (listening === undefined) return;
    const closed = new Promise<void>((resolve) => listening.close(() => resolve()));
    cut();
    await closed;
  };
  return {
    port,
    address: `127.0.0.1:${port}`,
    connections: () => pairs.size,
    cut,
    refuse: stopListening,
    delay: (ms) => (delayMs = ms),
    blackHole: () => {
      isBlackHole = true;
      for (const pair of pairs) pair.swallowed = true;
    },
    inspect: (inspect) => (look = inspect),
    heal: async () => {
      isBlackHole = false;
      delayMs = 0;
      server ??= await listen(port);
    },
    close: stopListening,
  };
}
