import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startChild, type Exit } from './child.ts';
import { freePort, loopback } from './ports.ts';
import { untilServing } from './temporal-server.ts';

export type TimeSkippingOptions = {
  /** Path of the test server, see `resolveProgram`. */
  binary: string;
  /** @default a free one */
  port?: number;
};

export type TimeSkipping = {
  readonly address: string;
  readonly pid: number;
  readonly exited: Promise<Exit>;
  stop: () => Promise<void>;
};

/** Starts Temporal's time-skipping test server. Skipping is global to a server: use one per test file, one test at a time. */
export async function startTimeSkipping(options: TimeSkippingOptions): Promise<TimeSkipping> {
  const port = options.port ?? (await freePort());
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-'));
  const logFile = path.join(folder, 'temporal-test-server.log');
  const child = await startChild({ command: options.binary, args: [String(port)], logFile });
  // It keeps nothing, so there is nothing to shut down in order.
  const stop = async (): Promise<void> => {
    await child.stop('SIGKILL', 0);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await untilServing({ what: 'The time-skipping server', child, port, namespace: 'default' });
  } catch (error) {
    await stop();
    throw error;
  }
  return { address: `${loopback}:${port}`, pid: child.pid, exited: child.exited, stop };
}
