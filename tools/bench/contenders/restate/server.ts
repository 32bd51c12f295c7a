import path from 'node:path';
import { startChild } from '../../../../local/child.ts';
import { freePort, loopback } from '../../../../local/ports.ts';
import { signalProcess } from '../../../../local/process-table.ts';
import { atExit } from '../../../harness/at-exit.ts';
import { temporaryFolder } from '../../../harness/temporary-folder.ts';
import { waitUntil } from '../../../harness/wait-until.ts';
import { resolveRestateServer } from './install.ts';

const START_MS = 60_000;
const STOP_MS = 20_000;

/** Restate's server, one node. */
export interface RestateServer {
  readonly ingressUrl: string;
  readonly pid: number;
  /** Makes the handlers behind a URL known, for all later invocations. */
  readonly register: (serviceUrl: string) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/**
 * Settings: the production profile of one node that provisions itself. `default-num-partitions` is what the vendor's own
 * deployment of a single node (its CDK construct) sets. Everything else is the default, which waits for the disk: the WAL of
 * its log is synced. Variables `RESTATE_*` of the caller win.
 */
const FLAGS = ['--production', '--auto-provision', 'true', '--no-logo'];
const SETTINGS: Readonly<Record<string, string>> = {
  RESTATE_LISTEN_MODE: 'tcp',
  RESTATE_DISABLE_TELEMETRY: 'true',
  RESTATE_DEFAULT_NUM_PARTITIONS: '4',
  RESTATE_ADMIN__DISABLE_WEB_UI: 'true',
  RESTATE_LOG_FILTER: 'warn',
};

/** Starts the server in a temporary folder, which is deleted at the end. */
export async function startRestateServer(say: (line: string) => void): Promise<RestateServer> {
  const command = await resolveRestateServer(say);
  const [node, ingress, admin] = [await freePort(), await freePort(), await freePort()];
  const folder = temporaryFolder('restate');
  const own = Object.entries(process.env).filter(([name]) => name.startsWith('RESTATE_'));
  const child = await startChild({
    command,
    args: [...FLAGS, '--base-dir', folder.path, '--node-name', 'bench', '--cluster-name', 'bench'],
    env: {
      ...SETTINGS,
      RESTATE_BIND_ADDRESS: `${loopback}:${node}`,
      RESTATE_ADVERTISED_ADDRESS: `http://${loopback}:${node}/`,
      RESTATE_INGRESS__BIND_ADDRESS: `${loopback}:${ingress}`,
      RESTATE_ADMIN__BIND_ADDRESS: `${loopback}:${admin}`,
      ...Object.fromEntries(own),
    },
    logFile: path.join(folder.path, 'restate.log'),
  });
  const forget = atExit(() => void signalProcess(child.pid, 'SIGKILL'));
  const stop = async (): Promise<void> => {
    forget();
    await child.stop('SIGTERM', STOP_MS);
    folder.remove();
  };
  const answers = async (url: string): Promise<boolean> => {
    const response = await fetch(url).catch(() => undefined);
    await response?.body?.cancel();
    return response?.ok === true;
  };
  const ingressUrl = `http://${loopback}:${ingress}`;
  const adminUrl = `http://${loopback}:${admin}`;
  try {
    await waitUntil(
      async () => {
        if (!child.running()) throw new Error('it ended while it started');
        return (await answers(`${adminUrl}/health`)) && (await answers(`${ingressUrl}/restate/health`));
      },
      { timeoutMs: START_MS, what: 'Restate answers' },
    );
  } catch (cause) {
    const lastLines = child.tail();
    await stop();
    throw new Error(`Restate did not start: ${String(cause)}. Its last lines:\n${lastLines}`, { cause });
  }
  return {
    ingressUrl,
    pid: child.pid,
    register: async (uri) => {
      const response = await fetch(`${adminUrl}/deployments`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ uri, force: true }),
      });
      if (!response.ok) throw new Error(`Restate does not take the service: ${await response.text()}`);
      await response.body?.cancel();
    },
    stop,
  };
}
