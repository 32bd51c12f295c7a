import { signalProcess } from '../../../local/process-table.ts';
import { freePort, loopback } from '../../../local/ports.ts';
import { type ServiceOptions, type ServiceProcess, startApi, startWorker } from '../../harness/processes.ts';
import { type TcpProxy, startTcpProxy } from '../../harness/tcp-proxy.ts';

export type Kind = 'api' | 'worker';

/** What a new process has that the others do not: another build, or more variables. */
export interface Variant {
  readonly env?: Readonly<Record<string, string>>;
  readonly root?: string;
}

/** A process of the service with its own lines to Postgres and Temporal; an API also has one to its clients. */
export interface Member {
  readonly kind: Kind;
  /** For example `api-1`. */
  readonly name: string;
  readonly postgresLink: TcpProxy;
  readonly temporalLink: TcpProxy;
  /** Of an API. */
  readonly clientLink: TcpProxy | undefined;
  readonly process: () => ServiceProcess;
  /** Where a worker serves the metrics of Temporal's SDK, host:port; `undefined` = nowhere. */
  readonly sdkMetrics: () => string | undefined;
  readonly kill: () => Promise<void>;
  readonly signal: (signal: 'SIGSTOP' | 'SIGCONT') => void;
  /** Starts it if it does not run. */
  readonly start: () => Promise<void>;
  /** A new process takes over, and then the old one gets SIGTERM. */
  readonly deploy: (variant?: Variant) => Promise<void>;
  readonly close: () => Promise<void>;
}

export interface FleetOptions {
  readonly kind: Kind;
  readonly name: string;
  readonly postgresAddress: string;
  readonly temporalAddress: string;
  readonly databaseUrlAt: (address: string) => string;
  readonly taskQueue: string;
  readonly env: Readonly<Record<string, string>>;
  /** Whether a worker serves the metrics of Temporal's SDK. @default false */
  readonly withSdkMetrics?: boolean;
}

/** Starts a process behind its proxies. */
export async function startMember(options: FleetOptions): Promise<Member> {
  const { kind, name, env } = options;
  const postgresLink = await startTcpProxy(options.postgresAddress);
  const temporalLink = await startTcpProxy(options.temporalAddress);
  const common: ServiceOptions = {
    databaseUrl: options.databaseUrlAt(postgresLink.address),
    temporalAddress: temporalLink.address,
    taskQueue: options.taskQueue,
  };
  const hasSdkMetrics = kind === 'worker' && options.withSdkMetrics === true;
  let sdkMetrics: string | undefined;
  const launch = async ({ env: more, root }: Variant = {}): Promise<ServiceProcess> => {
    const port = hasSdkMetrics ? await freePort() : 0;
    const started = await (kind === 'api' ? startApi : startWorker)({
      ...common,
      env: { ...env, SDK_METRICS_PORT: String(port), ...more },
      ...(root === undefined ? {} : { root }),
    });
    sdkMetrics = hasSdkMetrics ? `${loopback}:${port}` : undefined;
    return started;
  };
  let current = await launch();
  const clientLink = kind === 'api' ? await startTcpProxy(hostOf(current)) : undefined;
  const take = (next: ServiceProcess): void => {
    current = next;
    clientLink?.retarget(hostOf(next));
  };
  return {
    kind,
    name,
    postgresLink,
    temporalLink,
    clientLink,
    process: () => current,
    sdkMetrics: () => sdkMetrics,
    kill: () => current.kill9(),
    signal: (signal) => void signalProcess(current.pid, signal),
    start: async () => {
      if (!current.isRunning()) take(await launch());
    },
    deploy: async (variant) => {
      const old = current;
      take(await launch(variant));
      if (old.isRunning()) await old.stop();
    },
    close: async () => {
      // A stopped process takes no other signal.
      signalProcess(current.pid, 'SIGCONT');
      if (current.isRunning()) await current.kill9();
      const links = [postgresLink, temporalLink, clientLink].filter((link) => link !== undefined);
      await Promise.all(links.map((link) => link.close()));
    },
  };
}

function hostOf({ url }: ServiceProcess): string {
  return new URL(url).host;
}
