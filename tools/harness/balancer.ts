import { type AddressInfo, type Socket, connect, createServer } from 'node:net';

/** A balancer of connections, as orchestrators have it. */
export interface Balancer {
  readonly url: string;
  /** URLs of the processes that it sends new connections to. */
  readonly targets: () => readonly string[];
  /** Connections that it could not bring to a process. */
  readonly refused: () => number;
  readonly close: () => Promise<void>;
}

/**
 * Starts a balancer that asks each process for its readiness now and then, and sends each new connection to the next process that was
 * ready when it was last asked. It does not try another process, and leaves open connections where they are.
 * @param processes URLs of all processes, also of those that start later
 */
export async function startBalancer(
  processes: () => readonly string[],
  { pollMs = 1000 }: { readonly pollMs?: number } = {},
): Promise<Balancer> {
  let ready: readonly string[] = [];
  let next = 0;
  let refused = 0;
  const sockets = new Set<Socket>();

  const isReady = async (url: string): Promise<boolean> => {
    try {
      const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(pollMs) });
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  };
  const poll = async (): Promise<void> => {
    const all = processes();
    const found = await Promise.all(all.map(isReady));
    ready = all.filter((_, place) => found[place]);
  };
  await poll();
  const timer = setInterval(() => void poll(), pollMs);

  const server = createServer((client) => {
    const target = ready[next++ % ready.length];
    if (target === undefined) {
      refused++;
      client.destroy();
      return;
    }
    const { hostname: host, port } = new URL(target);
    const upstream = connect({ host, port: Number(port), noDelay: true });
    client.setNoDelay(true);
    let isConnected = false;
    upstream.once('connect', () => (isConnected = true));
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        if (one === upstream && !isConnected) refused++;
        other.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    targets: () => ready,
    refused: () => refused,
    close: async () => {
      clearInterval(timer);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
