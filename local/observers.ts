import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from '../process/package-root.ts';
import { describeExit, startChild, type Child, type ChildOptions } from './child.ts';
import { isExecutable, onPath } from './find-program.ts';
import type { StackOptions } from './options.ts';
import { keepServer, partFiles, type PartContext } from './parts.ts';
import { loopback } from './ports.ts';

/** A program that watches the stack, and that the stack can do without. */
type Observer = {
  name: string;
  part: 'prometheus' | 'grafana';
  commands: readonly string[];
  /** Environment variable that can hold the path of the program. */
  variable: string;
  advice: string;
  readyPath: string;
};

const prometheus: Observer = {
  name: 'Prometheus',
  part: 'prometheus',
  commands: ['prometheus'],
  variable: 'PROMETHEUS_PATH',
  advice: 'Install it (on Debian: apt-get install prometheus; otherwise https://prometheus.io/download)',
  readyPath: '/-/ready',
};
const grafana: Observer = {
  name: 'Grafana',
  part: 'grafana',
  commands: ['grafana', 'grafana-server'],
  variable: 'GRAFANA_PATH',
  advice: 'Install it (https://grafana.com/grafana/download)',
  readyPath: '/api/health',
};

const readyTimeoutMs = 60_000;

/** Starts Prometheus and Grafana beside the stack. One that is not there is named, and the stack goes on without it. */
export async function startObservers(context: PartContext, temporalMetricsPort: number | undefined): Promise<void> {
  const { options } = context;
  const folder = path.join(options.dataDir, 'observe');
  mkdirSync(folder, { recursive: true });
  const config = path.join(folder, 'prometheus.json');
  // JSON is YAML.
  writeFileSync(config, JSON.stringify(prometheusConfig(options, temporalMetricsPort), undefined, 2));
  await startObserver(context, prometheus, options.ports.prometheus, () => ({
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${path.join(folder, 'prometheus')}`,
      `--web.listen-address=${loopback}:${options.ports.prometheus}`,
    ],
  }));
  await startObserver(context, grafana, options.ports.grafana, (program) => {
    const home = context.env.GRAFANA_HOME ?? path.dirname(path.dirname(realpathSync(program)));
    const isOld = path.basename(program) === 'grafana-server';
    return {
      args: [...(isOld ? [] : ['server']), '--homepath', home],
      cwd: home,
      env: { ...context.env, ...grafanaEnvironment(options, folder) },
    };
  });
}

/** The configuration of Prometheus for this machine; that of docker-compose finds its targets by DNS. */
export function prometheusConfig({ ports, host }: StackOptions, temporalMetricsPort: number | undefined): object {
  const rules = path.join(packageRoot(), 'ops', 'prometheus');
  const job = (name: string, port: number | undefined): object[] =>
    port === undefined || port === 0 ? [] : [{ job_name: name, static_configs: [{ targets: [`${host}:${port}`] }] }];
  return {
    global: { scrape_interval: '15s', evaluation_interval: '15s' },
    rule_files: [path.join(rules, 'alerts.yml'), path.join(rules, 'rules.yml')],
    scrape_configs: [
      ...job('api', ports.api),
      ...job('worker', ports.admin),
      ...job('worker-sdk', ports.sdkMetrics),
      ...job('temporal', temporalMetricsPort),
    ],
  };
}

/** Anybody on this machine may look; nobody may change anything. */
function grafanaEnvironment({ ports }: StackOptions, folder: string): NodeJS.ProcessEnv {
  const ours = path.join(packageRoot(), 'ops', 'grafana');
  return {
    GF_SERVER_HTTP_ADDR: loopback,
    GF_SERVER_HTTP_PORT: String(ports.grafana),
    GF_PATHS_DATA: path.join(folder, 'grafana'),
    GF_PATHS_LOGS: path.join(folder, 'grafana', 'log'),
    GF_PATHS_PROVISIONING: path.join(ours, 'provisioning'),
    GF_AUTH_ANONYMOUS_ENABLED: 'true',
    GF_AUTH_ANONYMOUS_ORG_ROLE: 'Viewer',
    GF_ANALYTICS_REPORTING_ENABLED: 'false',
    GF_ANALYTICS_CHECK_FOR_UPDATES: 'false',
    PROMETHEUS_URL: `http://${loopback}:${ports.prometheus}`,
    PARLEY_DASHBOARDS: path.join(ours, 'dashboards'),
  };
}

async function startObserver(
  context: PartContext,
  { name, part, commands, variable, advice, readyPath }: Observer,
  port: number,
  start: (program: string) => Pick<ChildOptions, 'args' | 'cwd' | 'env'>,
): Promise<void> {
  const { options, env, say, signal } = context;
  const explicit = env[variable];
  const program = explicit ?? commands.map((command) => onPath(command, env)).find((found) => found !== undefined);
  if (program === undefined || !isExecutable(program)) {
    const where =
      explicit === undefined ? `no ${commands[0] ?? ''} on PATH` : `${variable} is ${explicit}, which is no program`;
    say(`${name}: not started: ${where}. ${advice}, or set ${variable} to its path.`);
    return;
  }
  const url = `http://${loopback}:${port}`;
  say(`${name}: starting (${url})`);
  const launch = async (stopping: AbortSignal): Promise<Child> => {
    const child = await startChild({ command: program, ...partFiles(options, part), ...start(program) });
    try {
      await untilReady(child, `${url}${readyPath}`, stopping);
      return child;
    } catch (error) {
      await child.stop('SIGKILL', 0);
      throw error;
    }
  };
  const running = (child: Child): { exited: Child['exited']; stop: () => Promise<void> } => ({
    exited: child.exited,
    stop: () => child.stop('SIGTERM', 10_000),
  });
  keepServer(context, name, part, running(await launch(signal)), async (stopping) => running(await launch(stopping)));
}

/** @throws Error if it ends, or does not answer in time */
async function untilReady(child: Child, url: string, signal: AbortSignal): Promise<void> {
  const end = Date.now() + readyTimeoutMs;
  while (Date.now() < end) {
    signal.throwIfAborted();
    if (!child.running())
      throw new Error(`ended while starting (${describeExit(await child.exited)}):\n${child.tail()}`);
    const response = await fetch(url, { signal: AbortSignal.timeout(1000) }).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok === true) return;
    await sleep(100);
  }
  throw new Error(`not ready after ${readyTimeoutMs / 1000} s:\n${child.tail()}`);
}
