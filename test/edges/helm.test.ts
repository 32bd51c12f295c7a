import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { runCommand } from '../../local/run-command.ts';
import { packageRoot } from '../../process/package-root.ts';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { testFolder } from '../harness/folder.ts';

interface Container {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: unknown;
  readonly resources: { readonly limits: { readonly memory: string } };
  readonly readinessProbe?: { readonly periodSeconds: number; readonly failureThreshold: number };
}

interface PodSpec {
  readonly containers: readonly Container[];
  readonly securityContext: unknown;
  readonly terminationGracePeriodSeconds: number;
  readonly automountServiceAccountToken: boolean;
}

interface Resource {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec?: {
    readonly template?: { readonly spec: PodSpec };
    readonly containers?: readonly Container[];
    readonly metrics?: readonly { readonly type: string }[];
    readonly groups?: readonly unknown[];
  };
}

const helm = edgeTool('helm') ?? '';
const validate = edgeTool('kubernetes-validate') ?? '';
const chart = path.join(packageRoot(), 'ops', 'helm', 'parley');
const VERSIONS = ['1.29', '1.33', '1.37'];
const DATABASE = { secretConfig: { DATABASE_URL: { name: 'parley', key: 'database-url' } } };
const EVERYTHING = {
  ...DATABASE,
  config: { JWT_PUBLIC_KEY_FILE: '/run/parley/jwt.pem', BYTES_IN_FLIGHT: 268_435_456, SHUTDOWN_GRACE_MS: 30_000 },
  secretFiles: [{ name: 'parley-keys', path: '/run/parley' }],
  imagePullSecrets: [{ name: 'registry' }],
  queueWait: { enabled: true },
  ingress: { enabled: true, className: 'nginx', tlsSecret: 'tls' },
  networkPolicy: { apiFrom: [{ podSelector: {} }], metricsFrom: [{ namespaceSelector: {} }] },
  podMonitor: { enabled: true, labels: { release: 'prometheus' } },
  prometheusRule: { enabled: true },
};

async function render(values: object, version = '1.33'): Promise<{ text: string; resources: Resource[] }> {
  const file = path.join(testFolder(), 'values.json');
  writeFileSync(file, JSON.stringify(values));
  const output = await runCommand(helm, ['template', 'parley', chart, '--kube-version', version, '--values', file]);
  // Helm says on its error output that the rules are a link.
  const text = output.replaceAll(/^.*found symbolic link in path.*$/gm, '');
  const resources = parseAllDocuments(text).map((document) => document.toJS() as Resource | null);
  return { text, resources: resources.filter((one) => one !== null) };
}

const podsOf = (resources: readonly Resource[]): { name: string; pod: PodSpec }[] =>
  resources.flatMap(({ metadata, spec }) => {
    const pod = spec?.template?.spec ?? (spec?.containers === undefined ? undefined : (spec as unknown as PodSpec));
    return pod === undefined ? [] : [{ name: metadata.name, pod }];
  });

describe.skipIf(helm === '')('the chart', () => {
  test('is well-formed', async () => {
    const file = path.join(testFolder(), 'values.json');
    writeFileSync(file, JSON.stringify(EVERYTHING));
    expect(await runCommand(helm, ['lint', '--strict', chart, '--values', file])).toContain('0 chart(s) failed');
  });

  test.skipIf(validate === '').each(VERSIONS)(
    'renders what Kubernetes %s accepts, with few settings and with all',
    async (version) => {
      for (const values of [DATABASE, EVERYTHING]) {
        const file = path.join(testFolder(), 'all.yaml');
        writeFileSync(file, (await render(values, version)).text);
        const said = await runCommand(validate, ['--kubernetes-version', version, '--strict', file]);
        expect(said.match(/passed for resource/g)?.length).toBeGreaterThan(12);
        // What belongs to the Prometheus operator has no schema here.
        const unknown = said.split('\n').filter((line) => line.startsWith('WARN'));
        expect(unknown.filter((line) => !/kind (?:PodMonitor|PrometheusRule) /.test(line))).toEqual([]);
      }
    },
  );

  test('every pod is restricted: no root, nothing to write, no rights, no token, a memory limit', async () => {
    const pods = podsOf((await render(EVERYTHING)).resources);
    expect(pods.map(({ name }) => name).sort()).toEqual(
      ['parley-api', 'parley-health', 'parley-migrate', 'parley-prepare-temporal', 'parley-worker'].sort(),
    );
    for (const { name, pod } of pods) {
      expect(pod, name).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
      });
      for (const container of pod.containers) {
        expect(container.securityContext, name).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(container.resources.limits.memory, name).toMatch(/^\d+[MG]i$/);
      }
    }
  });

  test('the migration runs before everything else, with the same settings', async () => {
    const { resources } = await render(EVERYTHING);
    const jobs = resources.filter(({ kind }) => kind === 'Job');
    expect(jobs.map(({ metadata }) => metadata.annotations?.['helm.sh/hook'])).toEqual([
      'pre-install,pre-upgrade',
      'pre-install,pre-upgrade',
    ]);
    const env = (name: string): unknown[] =>
      podsOf(resources)
        .find((one) => one.name === name)
        ?.pod.containers[0]?.env?.filter((one) => one.name !== 'NODE_OPTIONS') ?? [];
    expect(env('parley-migrate').length).toBeGreaterThan(3);
    for (const name of ['parley-worker', 'parley-migrate', 'parley-prepare-temporal'])
      expect(env(name)).toEqual(env('parley-api'));
    expect(env('parley-api')).toContainEqual({ name: 'BYTES_IN_FLIGHT', value: '268435456' });
    expect(env('parley-api')).toContainEqual({
      name: 'DATABASE_URL',
      valueFrom: { secretKeyRef: { name: 'parley', key: 'database-url' } },
    });
  });

  test('a pod has longer to end than its process takes, and is out of the Service before it refuses', async () => {
    for (const [settings, least] of [
      [{}, 20],
      [{ SHUTDOWN_GRACE_MS: 60_000 }, 65],
    ] as const) {
      const { resources } = await render({ ...DATABASE, config: settings });
      for (const { name, pod } of podsOf(resources).filter((one) => /-(?:api|worker)$/.test(one.name))) {
        expect(pod.terminationGracePeriodSeconds, name).toBeGreaterThanOrEqual(least + 20);
        const { periodSeconds = 99, failureThreshold = 99 } = pod.containers[0]?.readinessProbe ?? {};
        expect(periodSeconds * failureThreshold, name).toBeLessThan(5);
      }
    }
  });

  test('autoscalers go by CPU, and by the wait in queues where the metric is there', async () => {
    const metricsOf = async (values: object): Promise<string[][]> =>
      (await render(values)).resources
        .filter(({ kind }) => kind === 'HorizontalPodAutoscaler')
        .map(({ spec }) => spec?.metrics?.map(({ type }) => type) ?? []);
    expect(await metricsOf(DATABASE)).toEqual([['Resource'], ['Resource']]);
    expect(await metricsOf(EVERYTHING)).toEqual([
      ['Resource', 'External'],
      ['Resource', 'External'],
    ]);
  });

  test('the rules for the Prometheus operator are those of ops/prometheus', async () => {
    const folder = path.join(packageRoot(), 'ops', 'prometheus');
    const read = (file: string): unknown => parse(readFileSync(path.join(folder, file), 'utf8'));
    const { rule_files: files } = read('prometheus.yml') as { rule_files: string[] };
    const rendered = (await render(EVERYTHING)).resources.filter(({ kind }) => kind === 'PrometheusRule');
    expect(rendered.map(({ spec }) => spec?.groups)).toEqual(
      files.map((file) => (read(file) as { groups: unknown }).groups),
    );
  });

  test.each([
    [{ config: { TRUST_PROXI: 1 } }, 'TRUST_PROXI'],
    [{ config: { WORKFLOW_STACK_TRACES: true } }, 'got boolean'],
    [{ config: { JWT_SECRET: 'x'.repeat(32) } }, 'JWT_SECRET'],
    [{ worker: { replica: 3 } }, 'replica'],
    [{ config: { DATABASE_URL: 'postgres://a@b/c' } }, 'in config and in secretConfig'],
  ])('a mistake in the values ends the installation: %j', async (values, reason) => {
    await expect(render({ ...DATABASE, ...values })).rejects.toThrow(reason);
  });
});
