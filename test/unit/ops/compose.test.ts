import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { postgresSettings } from '../../../ops/postgres/settings.ts';
import { OF_NPM_START } from '../../../ops/helm/values-schema.ts';
import { VARIABLES } from '../../../process/config-variables.ts';
import { CONFIG_NAMES } from '../../../process/config.ts';
import { SECRET_FILE_NAMES } from '../../../process/secret-files.ts';
import { temporalCli } from '../../../local/temporal-programs.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { stackOptions } from '../../../local/options.ts';
import { dynamicConfig } from '../../../ops/temporal/dynamic-config.ts';

type Service = {
  image?: string;
  build?: { context: string; args: Record<string, string> };
  command?: string[];
  environment?: Record<string, string>;
  healthcheck?: object;
  'x-no-healthcheck'?: string;
  ports?: string[];
  volumes?: string[];
  mem_limit?: string;
  depends_on?: Record<string, { condition: string }>;
  deploy?: { replicas: number };
  secrets?: string[];
  env_file?: { path: string; required: boolean }[];
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
};

const read = (...names: string[]): string => readFileSync(path.join(packageRoot(), ...names), 'utf8');
const source = read('docker-compose.yml');
const { services, volumes, secrets } = parse(source, { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, null>;
  secrets: Record<string, { file: string }>;
};
const entries = Object.entries(services);
const ours = entries.filter(([, { build }]) => build !== undefined);
/** The default of a variable of compose: `${NAME:-default}`. */
const standardOf = (text = ''): string => text.replaceAll(/\$\{[A-Z_]+:?-([^}]*)\}/g, '$1');

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

test('something waits for every job, or `docker compose up --wait` would fail', () => {
  const jobs = entries
    .filter(([, service]) => service['x-no-healthcheck'] === 'runs once and ends')
    .map(([name]) => name);
  const awaited = entries.flatMap(([, { depends_on = {} }]) => Object.keys(depends_on));
  expect(jobs.sort()).toEqual(['migrate', 'temporal-namespace', 'temporal-schema']);
  for (const job of jobs) expect(awaited).toContain(job);
});

test('every image has an exact tag', () => {
  for (const [name, { image = '' }] of entries)
    expect(image, name).toMatch(/^[\w/-]+:v?\d+\.\d+(?:\.\d+)?(?:-\w+)?(?:@sha256:[0-9a-f]{64})?$/);
  const { version } = JSON.parse(read('package.json')) as { version: string };
  expect(new Set(ours.map(([, { image }]) => image))).toEqual(new Set([`parley:${version}`]));
});

test("Temporal's containers have the versions that the CLI of `npm start` has inside", () => {
  const { server, ui } = temporalCli.inside ?? {};
  const tags = entries.flatMap(([, { image = '' }]) => (image.startsWith('temporalio/') ? [image.split('@')[0]] : []));
  expect(tags.sort()).toEqual([
    `temporalio/admin-tools:${server}`,
    `temporalio/server:${server}`,
    `temporalio/ui:${ui}`,
  ]);
});

test('a new Temporal cluster has 512 shards, and an older one can say how many it has', () => {
  expect(services.temporal?.environment?.NUM_HISTORY_SHARDS).toBe('${TEMPORAL_HISTORY_SHARDS:-512}');
});

test("Parley's containers cannot write to their files, gain rights or use those of root", () => {
  for (const [name, service] of [...ours, ['proxy', services.proxy] as const]) {
    expect(service, name).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    });
  }
});

test('there are two API processes and two workers', () => {
  for (const name of ['api', 'worker']) expect(services[name]?.deploy?.replicas, name).toBe(2);
});

test('API and worker start without Temporal', () => {
  for (const name of ['api', 'worker'])
    expect(Object.keys(services[name]?.depends_on ?? {}), name).toEqual(['migrate']);
});

test('every volume is declared or is a file of this repository', () => {
  const used = entries.flatMap(([, service]) => service.volumes ?? []).map((volume) => volume.split(':')[0] ?? '');
  for (const name of used.filter((volume) => !volume.startsWith('./'))) expect(Object.keys(volumes)).toContain(name);
  const files = new Set(used.filter((volume) => volume.startsWith('./')));
  // The operator's own: written by a script, and may be empty.
  expect(files.delete('./secrets/parley')).toBe(true);
  expect([...files]).toContain('./ops/proxy/haproxy.cfg');
  for (const file of files) expect(existsSync(path.join(packageRoot(), file)), file).toBe(true);
});

test('ports are open only on the loopback address, and each port is used once', () => {
  const ports = entries.flatMap(([, service]) => service.ports ?? []);
  for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  const hostPorts = ports.map((port) => standardOf(port).split(':')[1]);
  expect(new Set(hostPorts).size).toBe(hostPorts.length);
});

test('the ports are the same as with `npm start`', () => {
  const { ports } = stackOptions({}, '/');
  expect(services.proxy?.environment?.API_PORT).toBe(`\${PORT:-${ports.api}}`);
  expect(services.proxy?.ports?.map(standardOf)).toEqual([`127.0.0.1:${ports.api}:8080`]);
  expect(read('ops', 'proxy', 'haproxy.cfg')).toContain('  bind :8080\n');
  expect(services.api?.healthcheck).toMatchObject({
    test: expect.arrayContaining(['PORT', String(ports.api)]) as unknown,
  });
  expect(services.worker?.healthcheck).toMatchObject({
    test: expect.arrayContaining(['ADMIN_PORT', String(ports.admin)]) as unknown,
  });
  expect(services.temporal?.ports).toEqual([`127.0.0.1:${ports.temporal}:7233`]);
  expect(services['temporal-ui']?.ports).toEqual([`127.0.0.1:${ports.temporalUi}:8080`]);
  expect(services.prometheus?.ports).toEqual([`127.0.0.1:${ports.prometheus}:9090`]);
  expect(services.grafana?.ports).toEqual([`127.0.0.1:${ports.grafana}:3000`]);
});

test("Parley's own services set only existing variables, and each can be set in .env", () => {
  const known = [...CONFIG_NAMES, ...SECRET_FILE_NAMES];
  for (const [name, { environment = {}, env_file }] of ours) {
    expect(env_file, name).toEqual([{ path: '.env', required: false }]);
    for (const [variable, value] of Object.entries(environment).filter(([one]) => one !== 'NODE_OPTIONS')) {
      expect(known, name).toContain(variable);
      expect(value, name).toMatch(new RegExp(`^\\$\\{${variable}-[^}]*\\}$`));
    }
  }
});

test('the list of variables that only `npm start` reads is that of the configuration page', () => {
  const section = read('docs', 'reference', 'configuration.md').split('## Local stack')[1]?.split('\n## ')[0] ?? '';
  const names = [...section.matchAll(/^\| `([A-Z_]+)`/gm)].map(([, name]) => name);
  expect(names).toEqual(OF_NPM_START);
});

test('secrets are files, and no value of the compose file is one', () => {
  const given = entries
    .flatMap(([, { environment = {} }]) => Object.entries(environment))
    .filter(([name]) => /PASSWORD|SECRET|_PWD|SALT|KEY/.test(name));
  expect(given.length).toBeGreaterThan(3);
  for (const [name, value] of given)
    expect([name, standardOf(value)]).toEqual([name, expect.stringMatching(/^\/run\/secrets\/[\w-]+$/)]);
  expect(standardOf(services.api?.environment?.DATABASE_URL)).toBe('postgres://parley@postgres:5432/parley');
  for (const { file } of Object.values(secrets)) expect(file).toMatch(/^\.\/secrets\/[\w-]+$/);
  const script = read('ops', 'compose', 'make-secrets.sh');
  for (const [name, service] of entries)
    for (const secret of service.secrets ?? []) expect(script, name).toContain(secret);
  expect(read('.gitignore')).toMatch(/^\/?secrets\/?$/m);
});

test('a container has longer to end than its process takes', () => {
  const grace = Number(/stop_grace_period: (\d+)s\n {2}# All variables/.exec(source)?.[1]);
  const standard = (name: string): number => Number(new Map(Object.entries(VARIABLES)).get(name)?.meta()?.default ?? 0);
  expect(grace * 1000).toBeGreaterThan(standard('SHUTDOWN_DELAY_MS') + standard('SHUTDOWN_GRACE_MS') + 20_000);
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
