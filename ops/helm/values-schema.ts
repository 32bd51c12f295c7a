import { z } from 'zod';
import { VARIABLES } from '../../process/config-variables.ts';
import { SECRET_FILE_NAMES, SECRET_NAMES } from '../../process/secret-files.ts';

/** Variables that only `npm start` reads: containers have no use for them. */
export const OF_NPM_START: readonly string[] = [
  'PARLEY_DATA_DIR',
  'POSTGRES_PORT',
  'TEMPORAL_PORT',
  'TEMPORAL_UI_PORT',
  'CONTROL_PORT',
  'PROMETHEUS_PORT',
  'GRAFANA_PORT',
];
/** Variables that can be set in containers. */
const SETTINGS = Object.entries(VARIABLES).filter(([name]) => !OF_NPM_START.includes(name));

// `on` and `off` without quotes are booleans in YAML, and would reach Parley as `true` and `false`.
const setting = z.union([z.string(), z.number()]);
const secretKey = z.strictObject({ name: z.string(), key: z.string() });
const labels = z.record(z.string(), z.string());
/** Parts of Kubernetes' own resources, which Kubernetes itself checks. */
const anyObject = z.looseObject({});
const anyList = z.array(anyObject);
const whole = z.int().min(0);
const enabled = z.strictObject({ enabled: z.boolean() });

const process = z.strictObject({
  replicas: whole,
  resources: anyObject,
  heapMb: z.int().min(128),
  maxUnavailable: z.union([whole, z.string()]),
  autoscaling: enabled.extend({ minReplicas: whole, maxReplicas: whole, cpu: z.int().min(1) }),
  podAnnotations: labels,
  nodeSelector: labels,
  tolerations: anyList,
  affinity: anyObject,
});

const values = z.strictObject({
  global: anyObject.optional(),
  image: z.strictObject({
    repository: z.string().min(1),
    tag: z.string(),
    digest: z.string().regex(/^(?:sha256:[0-9a-f]{64})?$/),
    pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']),
  }),
  imagePullSecrets: anyList,
  config: z.strictObject(
    Object.fromEntries([
      ...SETTINGS.filter(([name]) => name === 'DATABASE_URL' || !SECRET_NAMES.includes(name)).map(
        ([name, { description = '' }]) => [name, setting.optional().describe(description)] as const,
      ),
      ...SECRET_FILE_NAMES.map((name) => [name, z.string().optional().describe('Path below secretFiles.')] as const),
    ]),
  ),
  secretConfig: z.strictObject(Object.fromEntries(SETTINGS.map(([name]) => [name, secretKey.optional()]))),
  secretFiles: z.array(z.strictObject({ name: z.string(), path: z.string().startsWith('/') })),
  api: process.extend({ service: z.strictObject({ type: z.string(), port: whole, annotations: labels }) }),
  worker: process,
  queueWait: enabled.extend({ metric: z.string(), target: z.union([z.string(), z.number()]) }),
  migrate: enabled.extend({ deadline: z.int().min(60), resources: anyObject }),
  prepareTemporal: enabled,
  ingress: enabled.extend({
    className: z.string(),
    host: z.string(),
    tlsSecret: z.string(),
    annotations: labels,
  }),
  networkPolicy: enabled.extend({ apiFrom: anyList, metricsFrom: anyList, egressPorts: z.array(z.int().min(1)) }),
  podMonitor: enabled.extend({ interval: z.string(), labels }),
  prometheusRule: enabled.extend({ labels }),
  dashboards: enabled.extend({ labels }),
  serviceAccount: z.strictObject({ annotations: labels }),
});

/** The schema of the chart's values as text: Helm refuses a misspelled name before anything changes. */
export function valuesSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(values, { target: 'draft-7' }), undefined, 2)}\n`;
}
