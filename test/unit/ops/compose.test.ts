import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { postgresSettings } from '../../../ops/postgres/settings.ts';
import { CONFIG_NAMES } from '../../../process/config.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { stackOptions } from '../../../local/options.ts';
import { dynamicConfig } from '../../../ops/temporal/dynamic-config.ts';
import { registerCommand } from '../../../ops/temporal/search-attributes.ts';

type Service = {
  image?: string;
  build?: string;
  command?: string[];
  environment?: Record<string, string>;
  healthcheck?: object;
  'x-no-healthcheck'?: string;
  ports?: string[];
  volumes?: string[];
  mem_limit?: string;
  depends_on?: Record<string, { condition: string }>;
};

const read = (...names: string[]): string => readFileSync(path.join(packageRoot(), ...names), 'utf8');
const source = read('docker-compose.yml');
const { services, volumes } = parse(source, { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, null>;
};
const entries = Object.entries(services);

test.each(entries)(
  '%s has an image or a build, a memory limit, and a health check or the reason why it has none',
  (_name, service) => {
    expect(service.image ?? service.build).toBeTruthy();
    expect(service.mem_limit).toMatch(/^\d+[mg]$/);
    expect(service.healthcheck ?? service['x-no-healthcheck']).toBeTruthy();
  },
);

test.each(entries)(
  '%s waits for its dependencies with a condition that they can reach',
  (_name, { depends_on = {} }) => {
    for (const [name, { condition }] of Object.entries(depends_on)) {
      const needed = services[name];
      expect(needed, name).toBeDefined();
      // A service without a health check runs once and completes. All others have a health check.
      const expected = needed?.healthcheck === undefined ? 'service_completed_successfully' : 'service_healthy';
      expect(condition, name).toBe(expected);
    }
  },
);

test('API and worker start without Temporal', () => {
  for (const name of ['api', 'worker'])
    expect(Object.keys(services[name]?.depends_on ?? {}), name).toEqual(['migrate']);
});

test('the namespace gets the search attributes', () => {
  expect(services['temporal-namespace']?.command?.join('\n')).toContain(registerCommand('default'));
});

test('every volume is declared or is a file of this repository', () => {
  const used = entries.flatMap(([, service]) => service.volumes ?? []).map((volume) => volume.split(':')[0] ?? '');
  for (const name of used.filter((volume) => !volume.startsWith('./'))) expect(Object.keys(volumes)).toContain(name);
  expect(used.filter((volume) => volume.startsWith('./'))).toEqual([
    './ops/temporal/dynamic-config.yaml',
    './ops/prometheus',
  ]);
});

test('ports are open only on the loopback address, and each port is used once', () => {
  const ports = entries.flatMap(([, service]) => service.ports ?? []);
  for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  const hostPorts = ports.map((port) => port.split(':')[1]);
  expect(new Set(hostPorts).size).toBe(hostPorts.length);
});

test('the ports are the same as with `npm start`', () => {
  const { ports } = stackOptions({}, '/');
  expect(services.api?.environment).toMatchObject({ PORT: String(ports.api) });
  expect(services.api?.ports).toEqual([`127.0.0.1:${ports.api}-${ports.api + 1}:${ports.api}`]);
  const worker = { ADMIN_PORT: String(ports.admin), SDK_METRICS_PORT: String(ports.sdkMetrics) };
  expect(services.worker?.environment).toMatchObject(worker);
  expect(services.temporal?.ports).toEqual([`127.0.0.1:${ports.temporal}:7233`]);
  expect(services['temporal-ui']?.ports).toEqual([`127.0.0.1:${ports.temporalUi}:8080`]);
});

test("Parley's own services set only existing variables", () => {
  const known: string[] = [...CONFIG_NAMES, 'NODE_OPTIONS'];
  for (const [name, { environment = {} }] of entries.filter(([, { build }]) => build !== undefined)) {
    expect(
      Object.keys(environment).filter((variable) => !known.includes(variable)),
      name,
    ).toEqual([]);
  }
});

test('secrets come from the environment and have no default value', () => {
  const secret = /PASSWORD|SECRET|_PWD|DATABASE_URL/;
  const values = entries
    .flatMap(([, { environment = {} }]) => Object.entries(environment))
    .filter(([name]) => secret.test(name));
  expect(values.length).toBeGreaterThan(0);
  for (const [name, value] of values) expect(value, name).toMatch(/\$\{\w+:\?[^}]+\}/);
});

test('the heap of Node.js gets three quarters of the memory limit', () => {
  for (const name of ['api', 'worker']) {
    const { environment, mem_limit = '' } = services[name] ?? {};
    const limit = Number.parseInt(mem_limit) * 1024;
    expect(environment?.NODE_OPTIONS).toBe(`--max-old-space-size=${(limit * 3) / 4}`);
  }
});

test('the PostgreSQL settings are the same as in ops/postgres/settings.ts', () => {
  const [command, ...flags] = services.postgres?.command ?? [];
  expect(command).toBe('postgres');
  const settings = flags.filter((flag) => flag !== '-c').map((flag) => flag.split('='));
  expect(Object.fromEntries(settings)).toEqual(postgresSettings);
});

test('no PostgreSQL logs parameters or details of statements', () => {
  const settings = entries
    .filter(([, { image = '' }]) => image.startsWith('postgres:'))
    .map(([, { command }]) => command);
  expect(settings).toHaveLength(2);
  for (const flags of settings) {
    expect(flags).toEqual(
      expect.arrayContaining([
        'log_parameter_max_length=0',
        'log_parameter_max_length_on_error=0',
        'log_error_verbosity=terse',
      ]),
    );
  }
});

test('dynamic-config.yaml has the values of dynamic-config.ts (npm run dynamic-config)', () => {
  const file = parse(read('ops', 'temporal', 'dynamic-config.yaml')) as Record<string, { value: unknown }[]>;
  expect(Object.fromEntries(Object.entries(file).map(([key, [first]]) => [key, first?.value]))).toEqual(dynamicConfig);
});

test('Prometheus scrapes existing services on their open ports', () => {
  const { scrape_configs } = parse(read('ops', 'prometheus', 'prometheus.yml')) as {
    scrape_configs: { job_name: string; dns_sd_configs: { names: string[]; port: number }[] }[];
  };
  const targets = scrape_configs.flatMap(({ dns_sd_configs }) =>
    dns_sd_configs.map(({ names, port }) => [...names, port]),
  );
  expect(targets).toEqual([
    ['api', 8080],
    ['worker', 9090],
    ['worker', 9464],
    ['temporal', 8000],
  ]);
  expect(services.temporal?.environment?.PROMETHEUS_ENDPOINT).toBe('0.0.0.0:8000');
});
