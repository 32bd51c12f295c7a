import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { type Pace, makePacer } from './pacer.ts';

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
  /** Sends new connections to another server, host:port. Open ones stay where they are. */
  readonly retarget: (target: string) => void;
  /** Breaks every open connection (RST); new ones are fine. */
  readonly cut: () => void;
  /** Breaks every connection and refuses new ones, as if the server's process were gone. */
  readonly refuse: () => Promise<void>;
  /** Holds every chunk back, in both directions. */
  readonly slow: (pace: Pace) => void;
  /**
   * Swallows everything and tells nobody, as a firewall that lost its state does: open connections stay half-open for
   * ever, new ones are taken and never answered.
   */
  readonly blackHole: () => void;
  /** Sets what looks at each chunk; none = everything passes. */
  readonly inspect: (inspect?: Inspect) => void;
  /** New connections work again, and nothing is slow. What fell into the black hole stays there. */
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
  let behind = addressOf(target);
  const pairs = new Set<Pair>();
  let isBlackHole = false;
  let pace: Pace = {};
  let look: Inspect | undefined;

  const end = (pair: Pair): void => {
    if (!pairs.delete(pair)) return;
    pair.client.resetAndDestroy();
    pair.server.destroy();
  };
  const forward = (pair: Pair, direction: 'request' | 'answer'): void => {
    const [from, to] = direction === 'request' ? [pair.client, pair.server] : [pair.server, pair.client];
    const pacer = makePacer(() => pace);
    from.on('data', (chunk) => {
      if (pair.swallowed) return;
      const verdict = look?.(direction, chunk, pair.connection) ?? 'pass';
      if (verdict === 'cut') end(pair);
      if (verdict !== 'pass') return;
      pacer.pass(chunk.length, () => {
        if (pair.swallowed || to.destroyed || to.write(chunk)) return;
        from.pause();
        to.once('drain', () => from.resume());
      });
    });
    from.on('end', () => {
      if (!pair.swallowed) pacer.pass(0, () => to.end());
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
        const upstream = connect({ ...behind, allowHalfOpen: true });
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
    retarget: (next) => (behind = addressOf(next)),
    cut,
    refuse: stopListening,
    slow: (next) => (pace = next),
    blackHole: () => {
      isBlackHole = true;
      for (const pair of pairs) pair.swallowed = true;
    },
    inspect: (inspect) => (look = inspect),
    heal: async () => {
      isBlackHole = false;
      pace = {};
      server ??= await listen(port);
    },
    close: stopListening,
  };
}

function addressOf(target: string): { host: string; port: number } {
  const split = target.lastIndexOf(':');
  return { host: target.slice(0, split), port: Number(target.slice(split + 1)) };
}
