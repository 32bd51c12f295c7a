import { z } from 'zod';
import type { CONVERSATION_PATHS, PUBLIC_KEY_ALGORITHMS } from './config-variables.ts';
import { VARIABLES } from './config-variables.ts';
import { type TemporalTls, temporalTls, tlsProblems } from './temporal-tls.ts';
import { databaseUrl, replicaUrl } from './database-url.ts';
import { type PushSettings, pushProblems, pushSettings } from './push-settings.ts';
import { readSecretFiles, SECRET_FILE_NAMES } from './secret-files.ts';
import { findUnknownVariables } from './unknown-variables.ts';
import { own } from '../domain/own.ts';

export { CONVERSATION_PATHS } from './config-variables.ts';

/** Names of all variables. */
export const CONFIG_NAMES = Object.keys(VARIABLES) as readonly (keyof typeof VARIABLES)[];

/** Source of the key that verifies tokens. The API has exactly one source. */
export type JwtSource =
  | { readonly kind: 'secret'; readonly secret: string }
  | { readonly kind: 'jwks'; readonly url: string }
  | { readonly kind: 'key-file'; readonly file: string; readonly algorithm: (typeof PUBLIC_KEY_ALGORITHMS)[number] };

/**
 * Requests per device and minute, counted in each process; 0 = no limit. All devices of a user together may send twice
 * as many (`RATE_LIMIT_DEVICES`).
 */
export interface RateLimits {
  readonly messages: number;
  readonly commits: number;
  /** Key packages that a user may claim per minute, counted in PostgreSQL for all processes. */
  readonly claims: number;
  readonly writes: number;
  readonly reads: number;
  /** Requests with a forged token or with none, per client address. */
  readonly unauthenticated: number;
  /** Milliseconds of CPU time, per user. Requests of a class without a limit do not count. */
  readonly cost: number;
}

/**
 * The configuration of a process. All times are in milliseconds. The variables are described in `config-variables.ts`.
 */
export interface Config {
  readonly host: string;
  readonly port: number;
  readonly adminPort: number;
  /** With the password of `DATABASE_PASSWORD`. */
  readonly databaseUrl: string;
  readonly databasePoolSize: number;
  /** The same. */
  readonly databaseReplicaUrl: string | undefined;
  /** Name of the worker deployment; undefined = no Worker Versioning. */
  readonly workerDeployment: string | undefined;
  /** Empty if the process does not need Temporal. */
  readonly temporalAddress: string;
  readonly temporalNamespace: string;
  readonly temporalTls: TemporalTls;
  /** Sent as `authorization`. */
  readonly temporalApiKey: string | undefined;
  /** Without a slash at the end. Absent = answers contain no links. */
  readonly temporalUiUrl: string | undefined;
  readonly taskQueue: string;
  readonly sdkMetricsPort: number;
  readonly jwt: JwtSource | undefined;
  readonly jwtAudience: string;
  readonly path: { readonly path: (typeof CONVERSATION_PATHS)[number]; readonly rollout: number };
  readonly requestDeadlineMs: number;
  readonly idleMs: number;
  readonly epochWindow: number;
  readonly voteAfterHours: number;
  /** Ratchet trees up to this size are checked. */
  readonly treeCheckMaxBytes: number;
  /** Operations in one workflow run, for tests. Absent = a run continues as new when the server suggests it. */
  readonly continueAsNewAfter: number | undefined;
  /** Threads of the API for jobs; 0 = by the number of cores. */
  readonly jobThreads: number;
  /** Operations that may wait in the queue of one conversation. */
  readonly mailboxLimit: number;
  readonly workerCacheSize: number;
  readonly workerTaskSlots: number;
  readonly consistencyAuditPercent: number;
  readonly push: PushSettings;
  readonly workflowStackTraces: boolean;
  readonly workflowPromiseHook: boolean;
  readonly rateLimits: RateLimits;
  /** Bytes of bodies and answers in memory. */
  readonly bytesInFlight: number;
  readonly streamSlowMs: number;
  /** Open streams in one process; 0 = no limit. */
  readonly streamsPerUser: number;
  /** Absent = any lifetime. */
  readonly keyPackageMaxLifetimeMs: number | undefined;
  readonly trustProxy: number;
  /** Between the end of the readiness and the drain. */
  readonly shutdownDelayMs: number;
  readonly shutdownGraceMs: number;
  /** Absent = what the build wrote. */
  readonly build: string | undefined;
  /** Absent = tracing is off. */
  readonly tracing: { readonly endpoint: string; readonly serviceName: string; readonly ratio: number } | undefined;
  readonly logLevel: string;
  readonly logSalt: string | undefined;
}

/** The configuration of the API, which needs a key to verify tokens. */
export interface ApiConfig extends Config {
  readonly jwt: JwtSource;
}

/** Kind of process. It decides which variables are required. */
export type Part = 'api' | 'worker' | 'migrate' | 'namespace';

const NEEDS: Readonly<Record<Part, readonly string[]>> = {
  api: ['DATABASE_URL', 'TEMPORAL_ADDRESS'],
  worker: ['DATABASE_URL', 'TEMPORAL_ADDRESS'],
  migrate: ['DATABASE_URL'],
  namespace: ['TEMPORAL_ADDRESS'],
};
const JWT_SOURCES = ['JWT_SECRET', 'JWT_JWKS_URL', 'JWT_PUBLIC_KEY_FILE'] as const;

/**
 * Reads the configuration from the environment. An empty variable counts as unset.
 * @param part the kind of process; it decides which variables are required
 * @throws Error that lists all problems at once
 */
export function loadConfig(env: NodeJS.ProcessEnv, part: 'api'): ApiConfig;
export function loadConfig(env: NodeJS.ProcessEnv, part?: Part): Config;
export function loadConfig(env: NodeJS.ProcessEnv, part: Part = 'worker'): Config {
  const secrets = readSecretFiles(env);
  const given = Object.fromEntries(
    Object.entries(secrets.env)
      .map(([name, value]) => [name, value?.trim()] as const)
      .filter(([, value]) => value !== undefined && value !== ''),
  );
  const problems = [
    ...secrets.problems,
    ...NEEDS[part].filter((name) => own(given, name) === undefined).map((name) => `${name} is not set`),
    ...findUnknownVariables(Object.keys(given), [...CONFIG_NAMES, ...SECRET_FILE_NAMES]),
    ...tlsProblems(given),
    ...pushProblems(given),
  ];
  const sources = JWT_SOURCES.filter((name) => own(given, name) !== undefined);
  if (part === 'api' && sources.length !== 1) {
    const found = sources.length === 0 ? 'none is set' : `${sources.join(' and ')} are set`;
    problems.push(`exactly one of ${JWT_SOURCES.join(', ')} must be set: ${found}`);
  }
  const parsed = z.object(VARIABLES).safeParse(given);
  if (!parsed.success) problems.push(...parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`));
  const database = databaseUrl(parsed.data?.DATABASE_URL ?? '', parsed.data?.DATABASE_PASSWORD);
  if ('problem' in database) problems.push(database.problem);
  if (!parsed.success || 'problem' in database || problems.length > 0) {
    const list = problems.map((problem) => `  - ${problem}`).join('\n');
    throw new Error(
      `The configuration has problems:\n${list}\nFix these environment variables. docs/reference/configuration.md describes them.`,
    );
  }
  return freeze(arrange(parsed.data, database.url));
}

/** Like {@link loadConfig}, for the start of a process: prints the problems without a stack and exits with code 1. */
export function loadConfigOrExit(env: NodeJS.ProcessEnv, part: 'api'): ApiConfig;
export function loadConfigOrExit(env: NodeJS.ProcessEnv, part: Part): Config;
export function loadConfigOrExit(env: NodeJS.ProcessEnv, part: Part): Config {
  try {
    return loadConfig(env, part);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}

type Values = z.output<z.ZodObject<typeof VARIABLES>>;

function arrange(values: Values, database: string): Config {
  return {
    host: values.HOST,
    port: values.PORT,
    adminPort: values.ADMIN_PORT,
    databaseUrl: database,
    databasePoolSize: values.DATABASE_POOL_SIZE,
    databaseReplicaUrl:
      values.DATABASE_REPLICA_URL === undefined
        ? undefined
        : replicaUrl(values.DATABASE_REPLICA_URL, values.DATABASE_PASSWORD),
    workerDeployment: values.WORKER_DEPLOYMENT,
    temporalAddress: values.TEMPORAL_ADDRESS ?? '',
    temporalNamespace: values.TEMPORAL_NAMESPACE,
    temporalTls: temporalTls(values),
    temporalApiKey: values.TEMPORAL_API_KEY,
    temporalUiUrl: values.TEMPORAL_UI_URL?.replace(/(?<!\/)\/+$/, ''),
    taskQueue: values.TASK_QUEUE,
    sdkMetricsPort: values.SDK_METRICS_PORT,
    jwt: jwtSource(values),
    jwtAudience: values.JWT_AUDIENCE,
    path: { path: values.CONVERSATION_PATH, rollout: values.CONVERSATION_ROLLOUT },
    requestDeadlineMs: values.REQUEST_DEADLINE_MS,
    idleMs: values.IDLE_TIMEOUT ?? 0,
    epochWindow: values.EPOCH_WINDOW,
    voteAfterHours: values.VOTE_AFTER_HOURS,
    treeCheckMaxBytes: values.TREE_CHECK_MAX_BYTES,
    continueAsNewAfter: values.CONTINUE_AS_NEW_AFTER === 0 ? undefined : values.CONTINUE_AS_NEW_AFTER,
    jobThreads: values.JOB_THREADS,
    mailboxLimit: values.LANE_MAILBOX_LIMIT,
    workerCacheSize: values.WORKER_CACHE_SIZE,
    workerTaskSlots: values.WORKER_TASK_SLOTS,
    consistencyAuditPercent: values.CONSISTENCY_AUDIT_PERCENT,
    push: pushSettings(values),
    workflowStackTraces: values.WORKFLOW_STACK_TRACES === 'on',
    workflowPromiseHook: values.WORKFLOW_PROMISE_HOOK === 'on' || values.WORKFLOW_STACK_TRACES === 'on',
    rateLimits: {
      messages: values.RATE_LIMIT_MESSAGES,
      commits: values.RATE_LIMIT_COMMITS,
      claims: values.RATE_LIMIT_CLAIMS,
      writes: values.RATE_LIMIT_WRITES,
      reads: values.RATE_LIMIT_READS,
      unauthenticated: values.RATE_LIMIT_UNAUTHENTICATED,
      cost: values.RATE_LIMIT_COST,
    },
    bytesInFlight: values.BYTES_IN_FLIGHT,
    streamSlowMs: values.STREAM_SLOW_MS,
    streamsPerUser: values.STREAMS_PER_USER,
    keyPackageMaxLifetimeMs: values.KEY_PACKAGE_MAX_LIFETIME,
    trustProxy: values.TRUST_PROXY,
    shutdownDelayMs: values.SHUTDOWN_DELAY_MS,
    build: values.PARLEY_BUILD,
    shutdownGraceMs: values.SHUTDOWN_GRACE_MS,
    tracing:
      values.OTEL_EXPORTER_OTLP_ENDPOINT === undefined
        ? undefined
        : {
            endpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT,
            serviceName: values.OTEL_SERVICE_NAME,
            ratio: values.OTEL_TRACES_SAMPLER_ARG,
          },
    logLevel: values.LOG_LEVEL,
    logSalt: values.LOG_SALT,
  };
}

function jwtSource(values: Values): JwtSource | undefined {
  if (values.JWT_SECRET !== undefined) return { kind: 'secret', secret: values.JWT_SECRET };
  if (values.JWT_JWKS_URL !== undefined) return { kind: 'jwks', url: values.JWT_JWKS_URL };
  if (values.JWT_PUBLIC_KEY_FILE === undefined) return undefined;
  return { kind: 'key-file', file: values.JWT_PUBLIC_KEY_FILE, algorithm: values.JWT_PUBLIC_KEY_ALG };
}

function freeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) freeze(part as object);
  return Object.freeze(value);
}
