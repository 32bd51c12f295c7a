import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { stackOptions } from '../../../local/options.ts';
import { OF_NPM_START, valuesSchema } from '../../../ops/helm/values-schema.ts';
import { VARIABLES } from '../../../process/config-variables.ts';
import { CONFIG_NAMES } from '../../../process/config.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { SECRET_NAMES } from '../../../process/secret-files.ts';
import { stagesOf } from '../../../tools/images/dockerfile.ts';

interface Schema {
  readonly properties: Readonly<Record<string, { readonly properties: Readonly<Record<string, unknown>> }>>;
}

const read = (...names: string[]): string => readFileSync(path.join(packageRoot(), ...names), 'utf8');
const chart = ['ops', 'helm', 'parley'];
const templates = readdirSync(path.join(packageRoot(), ...chart, 'templates'))
  .filter((name) => /\.(?:yaml|tpl)$/.test(name))
  .map((name) => read(...chart, 'templates', name))
  .join('\n');
const standards = new Map(Object.entries(VARIABLES).map(([name, one]) => [name, one.meta()?.default]));

test('values.schema.json is that of values-schema.ts (npm run chart-schema)', () => {
  expect(read(...chart, 'values.schema.json')).toBe(valuesSchema());
});

test('every variable of the configuration page can be set, secrets only from Secrets', () => {
  const { properties } = JSON.parse(valuesSchema()) as Schema;
  const names = CONFIG_NAMES.filter((name) => !OF_NPM_START.includes(name));
  expect(Object.keys(properties.secretConfig?.properties ?? {}).sort()).toEqual([...names].sort());
  const open = Object.keys(properties.config?.properties ?? {});
  // A URL without its password is no secret.
  const secrets = SECRET_NAMES.filter((name) => name !== 'DATABASE_URL');
  expect(open).toEqual(expect.arrayContaining(names.filter((name) => !secrets.includes(name))));
  expect(open.filter((name) => secrets.includes(name))).toEqual([]);
});

test('the chart, the compose file and the image have the version of Parley', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string };
  expect(parse(read(...chart, 'Chart.yaml'))).toMatchObject({ version, appVersion: version });
});

test('the chart knows the defaults of the settings that it reads', () => {
  const used = [...templates.matchAll(/\(list \. "([A-Z_]+)" (\d+)\)/g)].map(([, name = '', value]) => [name, value]);
  expect(new Set(used.map(([name]) => name))).toEqual(
    new Set(['PORT', 'ADMIN_PORT', 'SDK_METRICS_PORT', 'SHUTDOWN_GRACE_MS', 'SHUTDOWN_DELAY_MS']),
  );
  for (const [name = '', value] of used) {
    if (standards.has(name)) expect([name, value]).toEqual([name, standards.get(name)]);
  }
});

test('chart, image and `npm start` have the same ports', () => {
  const { ports } = stackOptions({}, '/');
  expect(standards.get('PORT')).toBe(String(ports.api));
  expect(standards.get('ADMIN_PORT')).toBe(String(ports.admin));
  expect(standards.get('SDK_METRICS_PORT')).toBe(String(ports.sdkMetrics));
  const exposed = stagesOf(read('Dockerfile'))
    .at(-1)
    ?.instructions.find(({ keyword }) => keyword === 'EXPOSE')?.argument;
  expect(exposed).toBe(`${ports.api} ${ports.admin} ${ports.sdkMetrics}`);
});

test('the heap of Node.js gets three quarters of the memory limit', () => {
  const values = parse(read(...chart, 'values.yaml')) as Record<
    'api' | 'worker',
    { heapMb: number; resources: { limits: { memory: string } } }
  >;
  for (const { heapMb, resources } of [values.api, values.worker])
    expect(heapMb).toBe((Number.parseInt(resources.limits.memory) * 1024 * 3) / 4);
});

test('chart and compose start programs that exist', () => {
  const scripts = [templates, read('docker-compose.yml'), read('Dockerfile')].flatMap(
    (text) => text.match(/dist\/[\w/-]+\.js/g) ?? [],
  );
  expect(new Set(scripts).size).toBeGreaterThan(4);
  for (const script of scripts) expect(read(script.replace('dist/', '').replace('.js', '.ts'))).not.toBe('');
});

test('the metric of the autoscalers is the one that the Prometheus adapter makes', () => {
  const { rules } = parse(read('ops', 'helm', 'prometheus-adapter.yaml')) as {
    rules: { external: { name: { as: string } }[] };
  };
  const values = parse(read(...chart, 'values.yaml')) as { queueWait: { metric: string } };
  expect(rules.external.map(({ name }) => name.as)).toEqual([values.queueWait.metric]);
});
