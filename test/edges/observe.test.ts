import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../local/ports.ts';
import { packageRoot } from '../../process/package-root.ts';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { temporaryFolder } from '../../tools/harness/temporary-folder.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';

const binary = edgeTool('prometheus');
const PORTS = [
  'PORT',
  'ADMIN_PORT',
  'SDK_METRICS_PORT',
  'POSTGRES_PORT',
  'TEMPORAL_PORT',
  'TEMPORAL_UI_PORT',
  'CONTROL_PORT',
];

interface Target {
  readonly labels: { readonly job: string };
  readonly health: string;
}

async function start(prometheusPort: number, said: string[]): Promise<ChildProcess> {
  const folder = temporaryFolder('observe');
  onTestFinished(folder.remove);
  const ports: Record<string, string> = {};
  for (const name of PORTS) ports[name] = String(await freePort());
  const child = spawn(process.execPath, [path.join(packageRoot(), 'dist', 'local', 'main.js'), '--observe'], {
    env: {
      ...{ PATH: process.env.PATH, HOME: process.env.HOME, ...ports, PARLEY_DATA_DIR: path.join(folder.path, 'data') },
      ...{ PROMETHEUS_PATH: binary, PROMETHEUS_PORT: String(prometheusPort), GRAFANA_PORT: String(await freePort()) },
      // There is none here: the line about it is part of the test.
      GRAFANA_PATH: '/nowhere/grafana',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => said.push(chunk.toString()));
  return child;
}

describe.skipIf(binary === undefined)('npm start -- --observe', () => {
  it('starts a Prometheus that sees every part and has all rules, says how to get Grafana, and stops both', async () => {
    const said: string[] = [];
    const port = await freePort();
    const child = await start(port, said);
    const ended = once(child, 'exit') as Promise<[number | null]>;
    onTestFinished(() => void child.kill('SIGTERM'));
    const ask = async <T>(what: string): Promise<T> =>
      ((await (await fetch(`http://127.0.0.1:${port}/api/v1/${what}`)).json()) as { data: T }).data;
    await waitUntil(() => said.join('').includes('Parley is ready.'), {
      what: 'the stack is ready',
      timeoutMs: 180_000,
    });
    expect(said.join('')).toContain('Grafana: not started: GRAFANA_PATH is /nowhere/grafana, which is no program.');
    const up = async (): Promise<string[]> =>
      (await ask<{ activeTargets: Target[] }>('targets')).activeTargets
        .filter(({ health }) => health === 'up')
        .map(({ labels }) => labels.job)
        .sort();
    await waitUntil(async () => (await up()).length === 4, { what: 'every part is scraped', timeoutMs: 60_000 });
    expect(await up()).toEqual(['api', 'temporal', 'worker', 'worker-sdk']);
    const { groups } = await ask<{ groups: { rules: { health: string }[] }[] }>('rules');
    expect(groups.flatMap(({ rules }) => rules).length).toBeGreaterThan(50);
    child.kill('SIGINT');
    const [code] = await ended;
    expect(code).toBe(0);
    await expect(fetch(`http://127.0.0.1:${port}/-/ready`)).rejects.toThrow();
  });
});
