import { lookup } from 'node:dns/promises';
import { type Server, createServer } from 'node:net';
import { StartError } from '../domain/start-error.ts';

/** All IPv6 and IPv4 addresses of the machine. */
const ALL = '::';
const ALL_IPV4 = '0.0.0.0';
/** Only programs on this machine reach a server here. */
export const LOOPBACK = '127.0.0.1';

/** Opens a server; rejects with the error of the system. A parameter of the functions here for tests. */
export type Open = (server: Server, port: number, address: string) => Promise<void>;

/**
 * The IP address to listen on. `::` (all addresses) becomes `0.0.0.0` where the system has no IPv6.
 * @param host value of `HOST`: an IP address or a name
 * @throws StartError for a name that nobody knows
 */
export async function listenAddress(host: string, open: Open = openServer): Promise<string> {
  if (host !== ALL) {
    const found = await lookup(host).catch(() => undefined);
    if (found === undefined)
      throw new StartError(`HOST is ${host}, a name that is not known here. Set it to an address.`);
    return found.address;
  }
  const trial = createServer();
  try {
    await open(trial, 0, ALL);
    return ALL;
  } catch {
    return ALL_IPV4;
  } finally {
    trial.close();
  }
}

/**
 * Lets a server listen.
 * @param address of {@link listenAddress}
 * @param variable environment variable that sets the port, for the message
 * @returns the port: another one if it is 0
 * @throws StartError that says why it cannot
 */
export async function listenOn(
  server: Server,
  { address, port, variable }: { readonly address: string; readonly port: number; readonly variable: string },
  open: Open = openServer,
): Promise<number> {
  try {
    await open(server, port, address);
  } catch (error) {
    throw new StartError(reasonOf((error as NodeJS.ErrnoException).code, { address, port, variable }), {
      cause: error,
    });
  }
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : port;
}

function reasonOf(
  code: string | undefined,
  { address, port, variable }: { readonly address: string; readonly port: number; readonly variable: string },
): string {
  if (code === 'EADDRINUSE') {
    return `Port ${port} (${variable}) is already in use on ${address}. Set ${variable} to another port, or stop the other program.`;
  }
  if (code === 'EACCES')
    return `Port ${port} (${variable}) needs rights that this process does not have. Set ${variable} to a port above 1023.`;
  if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')
    return `HOST is ${address}, which is no address of this machine.`;
  return `Cannot listen on ${hostAndPort(address, port)} (HOST, ${variable}): ${code ?? 'unknown error'}.`;
}

/** Whether only programs on this machine reach a server that listens there. @param host value of `HOST` */
export async function isLoopback(host: string): Promise<boolean> {
  const address = await listenAddress(host);
  return address === '::1' || address.startsWith('127.');
}

/** As in URLs: IPv6 addresses stand in brackets. */
export function hostAndPort(address: string, port: number): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/** The address under which programs on this machine reach a server that listens on `address`. */
export function reachableAddress(address: string): string {
  return address === ALL || address === ALL_IPV4 ? LOOPBACK : address;
}

function openServer(server: Server, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
