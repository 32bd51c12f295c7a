import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { startChild } from '../../local/child.ts';
import { freePort, loopback } from '../../local/ports.ts';
import { signalProcess } from '../../local/process-table.ts';
import { atExit } from '../harness/at-exit.ts';
import { waitUntil } from '../harness/wait-until.ts';

/** Addresses (host:port) by job. */
export type Targets = Readonly<Record<string, readonly string[]>>;

export interface PrometheusOptions {
  /** Path of the program. */
  readonly binary: string;
  /** Folder for its configuration and data. */
  readonly folder: string;
  /** Rule files, by name. */
  readonly rules: Readonly<Record<string, string>>;
  /** Between two scrapes and evaluations; seconds. */
  readonly everySeconds: number;
}

/** One line of an answer. */
export interface Line {
  readonly labels: Readonly<Record<string, string>>;
  /** Seconds since 1970, and the value. */
  readonly points: readonly (readonly [number, number])[];
}

/** A Prometheus that runs. */
export interface Prometheus {
  readonly url: string;
  /** Replaces what is scraped; it takes note within a second. */
  readonly scrape: (targets: Targets) => void;
  /** Answers a query over a time; seconds since 1970. */
  readonly range: (query: string, from: number, until: number, step: number) => Promise<readonly Line[]>;
  /** Names of the alerts that fire. */
  readonly firing: () => Promise<ReadonlySet<string>>;
  /** Names of all metrics that it has seen. */
  readonly names: () => Promise<ReadonlySet<string>>;
  readonly stop: () => Promise<void>;
}

const JOBS = ['api', 'worker', 'worker-sdk', 'temporal'] as const;

/** Starts a Prometheus whose targets may change while it runs. JSON is YAML, so its files are JSON. */
export async function startPrometheus({ binary, folder, rules, everySeconds }: PrometheusOptions): Promise<Prometheus> {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(rules)) writeFileSync(path.join(folder, name), text);
  const fileOf = (job: string): string => path.join(folder, `${job}.json`);
  const scrape = (targets: Targets): void => {
    for (const job of JOBS) {
      // Renamed, so that nobody reads half of it.
      writeFileSync(`${fileOf(job)}.new`, JSON.stringify([{ targets: targets[job] ?? [] }]));
      renameSync(`${fileOf(job)}.new`, fileOf(job));
    }
  };
  scrape({});
  const every = `${everySeconds}s`;
  const config = {
    global: { scrape_interval: every, scrape_timeout: every, evaluation_interval: every },
    rule_files: Object.keys(rules),
    scrape_configs: JOBS.map((job) => ({
      job_name: job,
      file_sd_configs: [{ files: [fileOf(job)], refresh_interval: '1s' }],
    })),
  };
  writeFileSync(path.join(folder, 'prometheus.yml'), JSON.stringify(config));
  const port = await freePort();
  const url = `http://${loopback}:${port}`;
  const child = await startChild({
    command: binary,
    args: [
      `--config.file=${path.join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${path.join(folder, 'data')}`,
      `--web.listen-address=${loopback}:${port}`,
    ],
    logFile: path.join(folder, 'prometheus.log'),
  });
  const forget = atExit(() => void signalProcess(child.pid, 'SIGKILL'));
  const ask = async (what: string): Promise<unknown> => {
    const response = await fetch(`${url}${what}`);
    const { status, data, error } = (await response.json()) as { status: string; data?: unknown; error?: string };
    if (status !== 'success') throw new Error(`Prometheus refuses ${what}: ${error ?? ''}`);
    return data;
  };
  await waitUntil(
    async () => {
      if (!child.running()) throw new Error(`Prometheus ended while it started:\n${child.tail()}`);
      return (await fetch(`${url}/-/ready`).catch(() => undefined))?.status === 200;
    },
    { what: 'Prometheus is ready' },
  );
  return {
    url,
    scrape,
    range: async (query, from, until, step) => {
      const parameters = new URLSearchParams({ query, start: `${from}`, end: `${until}`, step: `${step}` });
      const { result } = (await ask(`/api/v1/query_range?${parameters.toString()}`)) as {
        result: { metric: Record<string, string>; values: [number, string][] }[];
      };
      return result.map(({ metric, values }) => ({
        labels: metric,
        points: values.map(([at, value]) => [at, Number(value)] as const),
      }));
    },
    firing: async () => {
      const { alerts } = (await ask('/api/v1/alerts')) as {
        alerts: { state: string; labels: { alertname: string } }[];
      };
      return new Set(alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname));
    },
    names: async () => new Set((await ask('/api/v1/label/__name__/values')) as string[]),
    stop: async () => {
      forget();
      await child.stop('SIGTERM', 10_000);
    },
  };
}
