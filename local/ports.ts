import { randomInt } from 'node:crypto';
import { createServer, connect } from 'node:net';
import { nameIn } from '../process/configuration-error.ts';
import { LOOPBACK } from '../process/listen.ts';
import { PORTS, type StackOptions, type StackPorts } from './options.ts';

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

/** Ports of a stack that are free now. */
export type SettledPorts = {
  ports: StackPorts;
  /** One line for the user about each port that has moved. */
  moved: readonly string[];
  problems: readonly string[];
};

/** How far a port moves from its default at most. */
const REACH = 200;

/**
 * Looks at all ports of the stack before anything starts. A port that nobody has chosen moves to the next free one where its default
 * is in use; for the others there is a problem that names the variable.
 */
export async function settlePorts(options: StackOptions): Promise<SettledPorts> {
  const ports = { ...options.ports };
  const names = usedPorts(options);
  const told = new Set(options.problems.map(nameIn));
  const takenBy = new Map<number, keyof StackPorts>();
  const moved: string[] = [];
  const problems: string[] = [];
  const nextFree = async (name: keyof StackPorts, from: number): Promise<number | undefined> => {
    const reserved = names
      .filter((other) => other !== name && options.fixedPorts.has(other))
      .map((other) => ports[other]);
    for (let port = from; port < Math.min(from + REACH, 65_536); port++) {
      if (!takenBy.has(port) && !reserved.includes(port) && (await portProblem(port)) === undefined) return port;
    }
    return undefined;
  };
  // Those that stay come first: the others make room for them.
  for (const name of [...names].sort((a, b) => Number(options.fixedPorts.has(b)) - Number(options.fixedPorts.has(a)))) {
    const { variable, user } = PORTS[name];
    // Its value is no port, which was told: nothing is known of the port that was meant.
    if (told.has(variable)) continue;
    const port = ports[name];
    const other = takenBy.get(port);
    const problem = await portProblem(port);
    if (other === undefined && problem === undefined) {
      takenBy.set(port, name);
      continue;
    }
    const free = await nextFree(name, port + 1);
    if (options.fixedPorts.has(name) || free === undefined) {
      const why = other === undefined ? problem : `is that of ${PORTS[other].variable} too`;
      const example = free === undefined ? '' : `, for example ${free}`;
      problems.push(`${variable}: port ${port}, needed for ${user}, ${why}. Set ${variable} to another port${example}`);
      takenBy.set(port, name);
    } else {
      moved.push(
        `Port ${port} ${other === undefined ? problem : `is that of ${PORTS[other].user}`}. Parley uses ${free} for ${user}`,
      );
      ports[name] = free;
      takenBy.set(free, name);
    }
  }
  return { ports, moved, problems };
}

/** The ports on which something of this stack will listen. */
function usedPorts({ ports, databaseUrl, temporalAddress, observe }: StackOptions): (keyof StackPorts)[] {
  return [
    'api',
    ...(temporalAddress === undefined ? (['temporalUi', 'temporal'] as const) : []),
    'admin',
    ...(ports.sdkMetrics === 0 ? [] : (['sdkMetrics'] as const)),
    ...(databaseUrl === undefined ? (['postgres'] as const) : []),
    ...(ports.control === 0 ? [] : (['control'] as const)),
    ...(observe ? (['prometheus', 'grafana'] as const) : []),
  ];
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
