import { createServer, connect } from 'node:net';

/** The address the whole local stack listens on. */
export const loopback = '127.0.0.1';

/** A port that nobody listens on at this moment. */
export function freePort(): Promise<number> {
  return listenOnce(0, loopback);
}

/** Fails with a sentence an operator can act on when a port is taken. */
export async function assertPortFree(port: number, what: string, variable: string): Promise<void> {
  const problem = await portProblem(port);
  if (problem !== undefined)
    throw new Error(`Port ${port}, needed for ${what}, ${problem}. Set ${variable} to another port.`);
}

async function portProblem(port: number): Promise<string | undefined> {
  // Connecting also finds a server bound to all addresses, beside which some systems allow a second one on the loopback address.
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

/** Whether somebody accepts connections on a port. */
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
