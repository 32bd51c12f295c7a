import path from 'node:path';
import { VARIABLES } from '../process/config-variables.ts';
import { readSecretFiles } from '../process/secret-files.ts';

/** Settings of `npm start`. */
export type StackOptions = {
  dataDir: string;
  /** `PARLEY_DATA_DIR` is set: other programs find the folder only with the same setting. */
  hasOwnDataDir: boolean;
  ports: StackPorts;
  /** Host part of URLs to the API and the worker on this machine. */
  host: string;
  namespace: string;
  /** Prometheus and Grafana run beside the stack, where their programs are there. */
  observe: boolean;
  /** Conversations are served without Temporal too, as far as the environment says. */
  servesWithoutTemporal: boolean;
  /** An existing PostgreSQL server. Absent = `npm start` runs its own. */
  databaseUrl: string | undefined;
  /** An existing Temporal server, host:port. Absent = `npm start` runs its own. */
  temporalAddress: string | undefined;
  /** `external` = another issuer signs the tokens, unless there is a secret. */
  jwt: { secret: string | undefined; audience: string; issuer?: string | undefined; external: boolean };
};

type StackPorts = {
  api: number;
  admin: number;
  /** 0 = off. */
  sdkMetrics: number;
  postgres: number;
  temporal: number;
  temporalUi: number;
  prometheus: number;
  grafana: number;
};

/** Each of them says who signs the tokens; `JWT_ISSUER` only where there is no `JWT_SECRET`. */
const EXTERNAL_ISSUERS = ['JWT_ISSUER', 'JWT_JWKS_URL', 'JWT_PUBLIC_KEY_FILE'] as const;
const OBSERVE = '--observe';
const USAGE = `npm start -- [--observe]
  --observe  runs Prometheus and Grafana beside the stack, where their programs are there`;

/**
 * Reads the settings of the local stack.
 * @param args of the command line
 * @throws Error that lists all problems at once
 */
export function stackOptions(given: NodeJS.ProcessEnv, root: string, args: readonly string[] = []): StackOptions {
  const { env, problems } = readSecretFiles(given);
  problems.push(...args.filter((arg) => arg !== OBSERVE).map((arg) => `${arg} is no option.\n${USAGE}`));
  const value = (name: string): string | undefined => {
    const text = env[name]?.trim();
    return text === '' ? undefined : text;
  };
  const port = (name: string, otherwise: number, least = 1): number => {
    const number = Number(value(name) ?? otherwise);
    if (!Number.isInteger(number) || number < least || number > 65_535)
      problems.push(`${name} must be a port from ${least} to 65535`);
    return number;
  };
  const options: StackOptions = {
    dataDir: path.resolve(root, value('PARLEY_DATA_DIR') ?? '.parley'),
    hasOwnDataDir: value('PARLEY_DATA_DIR') !== undefined,
    ports: {
      api: port('PORT', 8080),
      admin: port('ADMIN_PORT', 9090),
      sdkMetrics: port('SDK_METRICS_PORT', 9464, 0),
      postgres: port('POSTGRES_PORT', 5433),
      temporal: port('TEMPORAL_PORT', 7233),
      temporalUi: port('TEMPORAL_UI_PORT', 8233),
      prometheus: port('PROMETHEUS_PORT', 9091),
      grafana: port('GRAFANA_PORT', 3000),
    },
    host: reachable(value('HOST') ?? '0.0.0.0'),
    namespace: value('TEMPORAL_NAMESPACE') ?? 'default',
    observe: args.includes(OBSERVE),
    servesWithoutTemporal: VARIABLES.CONVERSATION_PATH.parse(value('CONVERSATION_PATH')) !== 'workflow',
    databaseUrl: value('DATABASE_URL'),
    temporalAddress: value('TEMPORAL_ADDRESS'),
    jwt: {
      secret: value('JWT_SECRET'),
      // Any of the list will do.
      audience: value('JWT_AUDIENCE')?.split(',')[0]?.trim() ?? 'parley',
      issuer: value('JWT_ISSUER'),
      external: EXTERNAL_ISSUERS.some((name) => value(name) !== undefined),
    },
  };
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return options;
}

function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}
