import { z } from 'zod';
import type { CONVERSATION_PATHS } from './config-variables.ts';
import { VARIABLES } from './config-variables.ts';
import { type TemporalTls, temporalTls, tlsProblems } from './temporal-tls.ts';
import { databaseTlsProblems } from './database-tls.ts';
import { databaseUrl, otherUrl } from './database-url.ts';
import { type ServerAddress, serverAddress } from './database-ways.ts';
import { ConfigurationError } from './configuration-error.ts';
import { type Environment, readEnvironment } from './env-file.ts';
import { keyFileProblems } from './key-files.ts';
import { ensureError } from '../domain/errors.ts';
import { readSecretFiles } from './secret-files.ts';
import { type JwtSource, type TokenRules, jwtSource, tokenProblems, tokenRules } from './token-config.ts';
import { type PushSettings, pushProblems, pushSettings } from './push-settings.ts';
import { findUnknownVariables } from './unknown-variables.ts';
import { own } from '../domain/own.ts';

export { CONVERSATION_PATHS } from './config-variables.ts';

/** Names of all variables. */
export const CONFIG_NAMES = Object.keys(VARIABLES) as readonly (keyof typeof VARIABLES)[];

/**
 * Requests per device and minute, counted in each process; 0 = no limit. All devices of a user together may send twice
 * as many (`RATE_LIMIT_DEVICES`).
 */
export interface RateLimits {
  readonly messages: number;
  readonly signals: number;
  /** Signals of one user to one conversation. */
  readonly signalsOfConversation: number;
  readonly commits: number;
  /** Key packages that a user may claim per minute, counted in PostgreSQL for all processes. */
  readonly claims: number;
  readonly claimedUsers: number;
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
  /** The servers as `store/` connects to them. `direct` is the same object as `main` unless it has a URL of its own. */
  readonly database: {
    readonly main: ServerAddress;
    readonly direct: ServerAddress;
    readonly replica: ServerAddress | undefined;
  };
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
  readonly tokenRules: TokenRules;
  readonly path: { readonly path: (typeof CONVERSATION_PATHS)[number]; readonly rollout: number };
  readonly requestDeadlineMs: number;
  readonly idleMs: number;
  readonly epochWindow: number;
  readonly voteAfterHours: number;
  /** Encrypts the signature keys of the external sender; absent = the service is none. */
  readonly externalSenderKey: string | undefined;
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
  /** Of all headers of a request. */
  readonly maxHeaderBytes: number;
  readonly trustProxy: number;
  /** Origins whose pages may use the API. */
  readonly corsOrigins: readonly string[];
  /** The web app at `/app/`; absent = there is none. `control` = the control server of the local stack. */
  readonly webApp: { readonly control: string | undefined } | undefined;
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
/** What `readEnvironment` found in the file `.env`. */
export type FileFindings = Omit<Environment, 'env'>;
const NO_FILE: FileFindings = { problems: [], places: {} };

/**
 * Reads the configuration from the environment. An empty variable counts as unset.
 * @param part the kind of process; it decides which variables are required
 * @param file what was found in a file that a part of `env` comes from
 * @throws ConfigurationError with all problems at once
 */
export function loadConfig(env: NodeJS.ProcessEnv, part: 'api', file?: FileFindings): ApiConfig;
export function loadConfig(env: NodeJS.ProcessEnv, part?: Part, file?: FileFindings): Config;
export function loadConfig(env: NodeJS.ProcessEnv, part: Part = 'worker', file: FileFindings = NO_FILE): Config {
  const secrets = readSecretFiles(env);
  const given = Object.fromEntries(
    Object.entries(secrets.env)
      .map(([name, value]) => [name, value?.trim()] as const)
      .filter(([, value]) => value !== undefined && value !== ''),
  );
  const problems = [
    ...file.problems,
    ...secrets.problems,
    ...NEEDS[part].filter((name) => own(given, name) === undefined).map((name) => `${name} is not set`),
    ...findUnknownVariables(env, file.places),
    ...tlsProblems(given),
    ...tokenProblems(given, part === 'api'),
    ...databaseTlsProblems(given),
    ...pushProblems(given),
  ];
  const parsed = z.object(VARIABLES).safeParse(given);
  if (!parsed.success) problems.push(...parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`));
  const database = databaseUrl(parsed.data?.DATABASE_URL ?? '', parsed.data?.DATABASE_PASSWORD);
  if ('problem' in database) problems.push(database.problem);
  if (!parsed.success || 'problem' in database || problems.length > 0) {
    throw new ConfigurationError(problems, file.places);
  }
  return freeze(arrange(parsed.data, database.url, env));
}

/**
 * Reads the configuration of a process from the environment and `.env`, at its start. Prints the problems without a stack, and
 * ends the process with code 1.
 */
export function loadConfigOrExit(given: NodeJS.ProcessEnv, part: 'api'): ApiConfig;
export function loadConfigOrExit(given: NodeJS.ProcessEnv, part: Part): Config;
export function loadConfigOrExit(given: NodeJS.ProcessEnv, part: Part): Config {
  try {
    const { env, ...file } = readEnvironment(given);
    const config = loadConfig(env, part, file);
    const problems = keyFileProblems(config);
    if (problems.length > 0) throw new ConfigurationError(problems, file.places);
    return config;
  } catch (error) {
    process.stderr.write(`${ensureError(error).message}\n`);
    process.exit(1);
  }
}

type Values = z.output<z.ZodObject<typeof VARIABLES>>;

function arrange(values: Values, database: string, env: NodeJS.ProcessEnv): Config {
  const replica =
    values.DATABASE_REPLICA_URL === undefined
      ? undefined
      : otherUrl(values.DATABASE_REPLICA_URL, values.DATABASE_PASSWORD);
  return {
    host: values.HOST,
    port: values.PORT,
    adminPort: values.ADMIN_PORT,
    databaseUrl: database,
    databasePoolSize: values.DATABASE_POOL_SIZE,
    database: servers(values, { main: database, replica }, env),
    databaseReplicaUrl: replica,
    workerDeployment: values.WORKER_DEPLOYMENT,
    temporalAddress: values.TEMPORAL_ADDRESS ?? '',
    temporalNamespace: values.TEMPORAL_NAMESPACE,
    temporalTls: temporalTls(values),
    temporalApiKey: values.TEMPORAL_API_KEY,
    temporalUiUrl: values.TEMPORAL_UI_URL?.replace(/(?<!\/)\/+$/, ''),
    taskQueue: values.TASK_QUEUE,
    sdkMetricsPort: values.SDK_METRICS_PORT,
    jwt: jwtSource(values),
    tokenRules: tokenRules(values),
    path: { path: values.CONVERSATION_PATH, rollout: values.CONVERSATION_ROLLOUT },
    requestDeadlineMs: values.REQUEST_DEADLINE_MS,
    idleMs: values.IDLE_TIMEOUT ?? 0,
    epochWindow: values.EPOCH_WINDOW,
    voteAfterHours: values.VOTE_AFTER_HOURS,
    externalSenderKey: values.EXTERNAL_SENDER_KEY,
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
      signals: values.RATE_LIMIT_SIGNALS,
      signalsOfConversation: values.RATE_LIMIT_SIGNALS_CONVERSATION,
      commits: values.RATE_LIMIT_COMMITS,
      claims: values.RATE_LIMIT_CLAIMS,
      claimedUsers: values.RATE_LIMIT_CLAIMED_USERS,
      writes: values.RATE_LIMIT_WRITES,
      reads: values.RATE_LIMIT_READS,
      unauthenticated: values.RATE_LIMIT_UNAUTHENTICATED,
      cost: values.RATE_LIMIT_COST,
    },
    bytesInFlight: values.BYTES_IN_FLIGHT,
    streamSlowMs: values.STREAM_SLOW_MS,
    streamsPerUser: values.STREAMS_PER_USER,
    keyPackageMaxLifetimeMs: values.KEY_PACKAGE_MAX_LIFETIME,
    maxHeaderBytes: values.MAX_HEADER_BYTES,
    trustProxy: values.TRUST_PROXY,
    corsOrigins: values.CORS_ORIGINS ?? [],
    webApp: values.WEB_APP === 'on' ? { control: values.WEB_APP_CONTROL_URL?.replace(/\/$/, '') } : undefined,
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

function servers(
  values: Values,
  urls: { readonly main: string; readonly replica: string | undefined },
  env: NodeJS.ProcessEnv,
): Config['database'] {
  const main = serverAddress(env, { variable: 'DATABASE_URL', url: urls.main });
  const of = (variable: string, url: string | undefined): ServerAddress | undefined =>
    url === undefined ? undefined : serverAddress(env, { variable, url });
  const { DATABASE_DIRECT_URL: direct, DATABASE_PASSWORD: password } = values;
  const directUrl = direct === undefined ? undefined : otherUrl(direct, password);
  return {
    main,
    direct: of('DATABASE_DIRECT_URL', directUrl) ?? main,
    replica: of('DATABASE_REPLICA_URL', urls.replica),
  };
}

function freeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) freeze(part as object);
  return Object.freeze(value);
}
