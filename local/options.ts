import path from 'node:path';
import { VARIABLES } from '../process/config-variables.ts';
import { ConfigurationError, type Places } from '../process/configuration-error.ts';
import type { FileFindings } from '../process/config.ts';
import { LOOPBACK, reachableAddress } from '../process/listen.ts';
import { readSecretFiles } from '../process/secret-files.ts';

/** Settings of `npm start`. */
export type StackOptions = {
  dataDir: string;
  /** The environment has `PARLEY_DATA_DIR`: other programs find the folder only with the same setting. */
  hasOwnDataDir: boolean;
  ports: StackPorts;
  /** Ports that stay as they are. The others move to free ones where theirs are in use. */
  fixedPorts: ReadonlySet<keyof StackPorts>;
  /** Where the API and the worker listen: only on this machine, unless `HOST` says otherwise. */
  listenHost: string;
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
  /** What is wrong with these settings. */
  problems: readonly string[];
  /** Where variables are set, if not in the environment. */
  places: Places;
};

export type StackPorts = {
  api: number;
  admin: number;
  /** 0 = off. */
  sdkMetrics: number;
  postgres: number;
  temporal: number;
  temporalUi: number;
  /** 0 = off. */
  control: number;
  prometheus: number;
  grafana: number;
};

/** Each of them says who signs the tokens; `JWT_ISSUER` only where there is no `JWT_SECRET`. */
const EXTERNAL_ISSUERS = ['JWT_ISSUER', 'JWT_JWKS_URL', 'JWT_PUBLIC_KEY_FILE'] as const;
const OBSERVE = '--observe';
export const USAGE = `npm start -- [--observe]
  --observe  runs Prometheus and Grafana beside the stack, where their programs are there`;

type Port = { variable: string; standard: number; user: string; least?: number };

/** Each port of the stack: its variable, its default and who uses it. */
export const PORTS: Readonly<Record<keyof StackPorts, Port>> = {
  api: { variable: 'PORT', standard: 8080, user: 'the API' },
  temporalUi: { variable: 'TEMPORAL_UI_PORT', standard: 8233, user: 'the Temporal Web UI' },
  admin: { variable: 'ADMIN_PORT', standard: 9090, user: "the worker's health and metrics" },
  sdkMetrics: { variable: 'SDK_METRICS_PORT', standard: 9464, user: "the worker's Temporal metrics", least: 0 },
  postgres: { variable: 'POSTGRES_PORT', standard: 5433, user: 'PostgreSQL' },
  temporal: { variable: 'TEMPORAL_PORT', standard: 7233, user: 'Temporal' },
  control: { variable: 'CONTROL_PORT', standard: 8092, user: 'the control server of the web app', least: 0 },
  prometheus: { variable: 'PROMETHEUS_PORT', standard: 9091, user: 'Prometheus' },
  grafana: { variable: 'GRAFANA_PORT', standard: 3000, user: 'Grafana' },
};
const PORT_NAMES = Object.keys(PORTS) as readonly (keyof StackPorts)[];
/** People type these two, and bookmark them: if they moved, the other stack on their port would be taken for this one. */
const NEVER_MOVE: readonly (keyof StackPorts)[] = ['api', 'temporalUi'];
const NO_FILE: FileFindings = { problems: [], places: {} };

/**
 * Reads the settings of the local stack.
 * @param args of the command line
 * @param file what was found in a file that a part of `given` comes from
 * @throws ConfigurationError that lists all problems at once
 */
export function stackOptions(
  given: NodeJS.ProcessEnv,
  root: string,
  args: readonly string[] = [],
  file: FileFindings = NO_FILE,
): StackOptions {
  const options = readStackOptions(given, root, args, file);
  if (options.problems.length > 0) throw new ConfigurationError(options.problems, options.places);
  return options;
}

/** The same for a start that adds what else is wrong: the problems are in the answer. */
export function readStackOptions(
  given: NodeJS.ProcessEnv,
  root: string,
  args: readonly string[] = [],
  file: FileFindings = NO_FILE,
): StackOptions {
  const { env, problems: unreadable } = readSecretFiles(given);
  const problems = [
    ...args.filter((arg) => arg !== OBSERVE).map((arg) => `${arg} is no option.\n${USAGE}`),
    ...file.problems,
    ...unreadable,
  ];
  const value = (name: string): string | undefined => {
    const text = env[name]?.trim();
    return text === '' ? undefined : text;
  };
  const fixedPorts = new Set(NEVER_MOVE);
  const port = (name: keyof StackPorts): number => {
    const { variable, standard, least = 1 } = PORTS[name];
    const text = value(variable);
    if (text === undefined) return standard;
    const number = /^\d{1,5}$/.test(text) ? Number(text) : Infinity;
    if (number >= least && number <= 65_535) {
      fixedPorts.add(name);
      return number;
    }
    problems.push(`${variable} must be a port from ${least} to 65535, but is ${text}`);
    return standard;
  };
  const listenHost = value('HOST') ?? LOOPBACK;
  const chosenPath = VARIABLES.CONVERSATION_PATH.safeParse(value('CONVERSATION_PATH'));
  const options: Omit<StackOptions, 'problems'> = {
    dataDir: path.resolve(root, value('PARLEY_DATA_DIR') ?? '.parley'),
    // A file with the setting is read by other programs too.
    hasOwnDataDir: value('PARLEY_DATA_DIR') !== undefined && !Object.hasOwn(file.places, 'PARLEY_DATA_DIR'),
    ports: Object.fromEntries(PORT_NAMES.map((name) => [name, port(name)])) as StackPorts,
    fixedPorts,
    listenHost,
    host: reachable(listenHost),
    namespace: value('TEMPORAL_NAMESPACE') ?? 'default',
    observe: args.includes(OBSERVE),
    servesWithoutTemporal: chosenPath.data !== 'workflow',
    databaseUrl: value('DATABASE_URL'),
    temporalAddress: value('TEMPORAL_ADDRESS'),
    jwt: {
      secret: value('JWT_SECRET'),
      // Any of the list will do.
      audience: value('JWT_AUDIENCE')?.split(',')[0]?.trim() ?? 'parley',
      issuer: value('JWT_ISSUER'),
      external: EXTERNAL_ISSUERS.some((name) => value(name) !== undefined),
    },
    places: file.places,
  };
  return { ...options, problems };
}

function reachable(host: string): string {
  const address = reachableAddress(host);
  return address.includes(':') ? `[${address}]` : address;
}
