import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startObservers } from '../../../local/observers.ts';
import { type StackOptions, stackOptions } from '../../../local/options.ts';
import type { PartContext } from '../../../local/parts.ts';
import { freePort } from '../../../local/ports.ts';
import { makePartStates } from '../../../local/part-states.ts';
import { createCleanup } from '../../../process/cleanup.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { testFolder } from '../../harness/folder.ts';

/** Stands in for both programs: it answers on the port that it was told, and shows how it was started. */
const STAND_IN = `#!${process.execPath}
const { createServer } = require('node:http');
const { GF_SERVER_HTTP_PORT, PROMETHEUS_URL, PARLEY_DASHBOARDS, GF_PATHS_PROVISIONING } = process.env;
const listen = process.argv.find((arg) => arg.startsWith('--web.listen-address='));
const port = Number(listen?.split(':').at(-1) ?? GF_SERVER_HTTP_PORT);
const about = { args: process.argv.slice(2), env: { PROMETHEUS_URL, PARLEY_DASHBOARDS, GF_PATHS_PROVISIONING } };
createServer((request, response) => {
  if (request.url === '/die') process.exit(3);
  response.end(JSON.stringify(about));
}).listen(port, '127.0.0.1');
`;

interface Bench {
  readonly options: StackOptions;
  readonly context: PartContext;
  readonly said: string[];
  readonly folder: string;
  readonly program: (name: string) => string;
}

async function bench(env: NodeJS.ProcessEnv = {}): Promise<Bench> {
  const folder = testFolder();
  const ports = { PROMETHEUS_PORT: String(await freePort()), GRAFANA_PORT: String(await freePort()) };
  const all = { PATH: path.join(folder, 'bin'), PARLEY_DATA_DIR: path.join(folder, 'data'), ...ports, ...env };
  const options = stackOptions(all, folder, ['--observe']);
  const said: string[] = [];
  const cleanup = createCleanup();
  onTestFinished(() => cleanup.run());
  mkdirSync(path.join(folder, 'bin'));
  return {
    ...{ options, said, folder },
    context: {
      ...{ options, env: all, cleanup, states: makePartStates() },
      scripts: { migrate: '', worker: '', api: '' },
      say: (line) => said.push(line),
      signal: new AbortController().signal,
    },
    program: (name) => {
      const file = path.join(folder, 'bin', name);
      writeFileSync(file, STAND_IN);
      chmodSync(file, 0o755);
      return file;
    },
  };
}

test('without the programs the stack goes on, and the user is told what to install or to set', async () => {
  const { context, said } = await bench();
  await startObservers(context, undefined);
  expect(said).toEqual([
    'Prometheus: not started: no prometheus on PATH. Install it (on Debian: apt-get install prometheus; otherwise https://prometheus.io/download), or set PROMETHEUS_PATH to its path.',
    'Grafana: not started: no grafana on PATH. Install it (https://grafana.com/grafana/download), or set GRAFANA_PATH to its path.',
  ]);
});

test('a variable that names no program is named in the line', async () => {
  const { context, said } = await bench({ PROMETHEUS_PATH: '/nowhere/prometheus' });
  await startObservers(context, undefined);
  expect(said[0]).toContain('PROMETHEUS_PATH is /nowhere/prometheus, which is no program');
});

test('Prometheus gets the ports of this stack and the rules of the repository, Grafana gets Prometheus and the dashboards', async () => {
  const { context, options, program } = await bench();
  program('prometheus');
  program('grafana');
  await startObservers(context, 4321);
  const { ports, dataDir } = options;
  const config = JSON.parse(readFileSync(path.join(dataDir, 'observe', 'prometheus.json'), 'utf8')) as {
    rule_files: string[];
    scrape_configs: { job_name: string; static_configs: { targets: string[] }[] }[];
  };
  expect(config.rule_files.map((file) => path.basename(file))).toEqual(['alerts.yml', 'rules.yml']);
  for (const file of config.rule_files) expect(readFileSync(file, 'utf8')).toContain('groups:');
  expect(
    config.scrape_configs.map(({ job_name, static_configs }) => [
      job_name,
      ...static_configs.flatMap((s) => s.targets),
    ]),
  ).toEqual([
    ['api', `127.0.0.1:${ports.api}`],
    ['worker', `127.0.0.1:${ports.admin}`],
    ['worker-sdk', `127.0.0.1:${ports.sdkMetrics}`],
    ['temporal', '127.0.0.1:4321'],
  ]);
  const ask = async (port: number): Promise<{ args: string[]; env: Record<string, string> }> =>
    (await (await fetch(`http://127.0.0.1:${port}/`)).json()) as { args: string[]; env: Record<string, string> };
  const grafana = await ask(ports.grafana);
  expect(grafana.args[0]).toBe('server');
  expect(grafana.env.PROMETHEUS_URL).toBe(`http://127.0.0.1:${ports.prometheus}`);
  expect(readFileSync(path.join(grafana.env.PARLEY_DASHBOARDS ?? '', 'overview.json'), 'utf8')).toContain('parley');
  expect(path.basename(grafana.env.GF_PATHS_PROVISIONING ?? '')).toBe('provisioning');
});

test('one that ends is started again', async () => {
  const { context, options, said, program } = await bench();
  program('prometheus');
  await startObservers(context, undefined);
  await fetch(`http://127.0.0.1:${options.ports.prometheus}/die`).catch(() => undefined);
  await waitUntil(() => said.includes('Prometheus: ready again'), { what: 'it runs again' });
  expect((await fetch(`http://127.0.0.1:${options.ports.prometheus}/`)).ok).toBe(true);
});

test('an unknown argument of npm start is refused with the usage', () => {
  expect(() => stackOptions({}, '/', ['--obsreve'])).toThrow('--obsreve is no option.\nnpm start -- [--observe]');
  expect([stackOptions({}, '/').observe, stackOptions({}, '/', ['--observe']).observe]).toEqual([false, true]);
});
