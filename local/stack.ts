import { createCleanup } from '../process/cleanup.ts';
import { ConfigurationError } from '../process/configuration-error.ts';
import { TEMPORAL_TLS_NAMES } from '../process/temporal-tls.ts';
import { killAllParts, lockDataFolder } from './data-lock.ts';
import { keptSecret, developmentSecret } from './development-token.ts';
import { startControl } from './control/start.ts';
import { makeTerminal, type Terminal } from './control/terminal.ts';
import { makePartStates } from './part-states.ts';
import { startDatabase, startPrograms, startTemporalServer, type PartContext } from './parts.ts';
import { startObservers } from './observers.ts';
import type { StackOptions } from './options.ts';
import type { RunningStack } from './service-url.ts';
import { settlePorts } from './ports.ts';

/** Paths of Parley's compiled programs. */
type StackScripts = { migrate: string; worker: string; api: string };

export type StackInput = {
  options: StackOptions;
  scripts: StackScripts;
  /** Environment variables for Parley's processes. */
  env: NodeJS.ProcessEnv;
  /** Prints one line for the user. */
  say: (line: string) => void;
  /** Looks for what else is wrong with the configuration, before anything starts. @returns one sentence each */
  findProblems?: () => Promise<readonly string[]>;
};

/** Facts about a running stack. */
export type Stack = {
  /** With the ports on which it listens. */
  options: StackOptions;
  databaseUrl: string;
  temporalAddress: string;
  uiUrl: string | undefined;
  /** Where Temporal serves its own metrics. Absent = nobody asked, or it runs elsewhere. */
  temporalMetricsPort?: number | undefined;
  /** Secret of the tokens. Absent = an external issuer signs them. */
  secret: string | undefined;
};

export type Supervisor = {
  /** Resolves when all parts are ready. */
  readonly started: Promise<Stack>;
  /** Stops all parts in reverse order. Works also during the start. */
  stop: () => Promise<void>;
  /** Sends SIGKILL to all parts at once. */
  kill: () => void;
};

/** What other programs on this machine need to know of a stack that is ready. */
export function runningStack({ options, databaseUrl }: Stack): RunningStack {
  const { host, ports, databaseUrl: external } = options;
  const url = `http://${host}:${ports.api}`;
  return { pid: process.pid, url, ...(external === undefined ? { databaseUrl } : {}) };
}

/** Starts Parley and the servers that it needs on this machine, and starts each again if it ends. */
export function superviseStack(input: StackInput): Supervisor {
  const cleanup = createCleanup();
  const abort = new AbortController();
  const terminal = makeTerminal(input.say);
  const started = start(
    { ...input, say: terminal.say, states: makePartStates(), cleanup, signal: abort.signal },
    terminal,
  );
  // The caller awaits `started`. After a stop during the start nobody awaits it, so its rejection must count as
  // handled.
  started.catch(() => undefined);
  return {
    started,
    async stop() {
      abort.abort(new Error('The start was interrupted.'));
      await Promise.allSettled([started]);
      await cleanup.run();
    },
    kill: () => killAllParts(input.options),
  };
}

async function start(context: PartContext, terminal: Terminal): Promise<Stack> {
  const { stack, children } = await startServers(context);
  await startPrograms(await startControl(children, stack, terminal));
  if (stack.options.observe) await startObservers({ ...context, options: stack.options }, stack.temporalMetricsPort);
  return stack;
}

/**
 * Starts PostgreSQL and Temporal. `children` is the context in which Parley's own processes are started on them.
 * @throws ConfigurationError with everything that is wrong, before anything has started
 */
export async function startServers(
  given: PartContext & Pick<StackInput, 'findProblems'>,
): Promise<{ stack: Stack; children: PartContext }> {
  // First: what an earlier stack left running holds its ports.
  await lockDataFolder(given);
  const { findProblems, ...rest } = given;
  const [settled, found] = await Promise.all([settlePorts(given.options), findProblems?.() ?? []]);
  const { problems: read, places } = given.options;
  const problems = [...new Set([...read, ...settled.problems, ...found])];
  if (problems.length > 0) throw new ConfigurationError(problems, places);
  for (const line of settled.moved) given.say(line);
  const options = { ...given.options, ports: settled.ports };
  const context = { ...rest, options };
  const { signal, env, states } = context;
  signal.throwIfAborted();
  if (options.databaseUrl !== undefined) states.set('postgres', 'external');
  if (options.temporalAddress !== undefined) states.set('temporal', 'external');
  const secret = developmentSecret(options);
  // Both, also when one fails: what has started must be known to the cleanup.
  const [database, server] = await Promise.allSettled([
    options.databaseUrl ?? startDatabase(context),
    options.temporalAddress === undefined
      ? startTemporalServer(context)
      : { address: options.temporalAddress, uiUrl: undefined, metricsPort: undefined },
  ]);
  signal.throwIfAborted();
  if (database.status === 'rejected') throw database.reason;
  if (server.status === 'rejected') throw server.reason;
  const { value: databaseUrl } = database;
  const { value: temporal } = server;

  const children: PartContext = {
    ...context,
    env: {
      ...env,
      DATABASE_URL: databaseUrl,
      TEMPORAL_ADDRESS: temporal.address,
      TEMPORAL_NAMESPACE: options.namespace,
      // They may be set for another server, for example for the command line of Temporal.
      ...(options.temporalAddress === undefined
        ? Object.fromEntries(TEMPORAL_TLS_NAMES.map((name) => [name, '']))
        : {}),
      ...(temporal.uiUrl === undefined ? {} : { TEMPORAL_UI_URL: temporal.uiUrl }),
      PARLEY_DATA_DIR: options.dataDir,
      // What the file `.env` says is here already.
      PARLEY_SUPERVISED: '1',
      HOST: options.listenHost,
      PORT: String(options.ports.api),
      ADMIN_PORT: String(options.ports.admin),
      SDK_METRICS_PORT: String(options.ports.sdkMetrics),
      // There is no balancer that would have to notice.
      SHUTDOWN_DELAY_MS: env.SHUTDOWN_DELAY_MS ?? '0',
      ...(secret === undefined ? {} : { JWT_SECRET: secret }),
      WEB_APP: env.WEB_APP ?? 'on',
      EXTERNAL_SENDER_KEY: env.EXTERNAL_SENDER_KEY ?? keptSecret(options.dataDir, 'external-sender-key'),
    },
  };
  const { address: temporalAddress, uiUrl, metricsPort: temporalMetricsPort } = temporal;
  return { stack: { options, databaseUrl, temporalAddress, uiUrl, temporalMetricsPort, secret }, children };
}
