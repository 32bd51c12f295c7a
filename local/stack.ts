import { createCleanup } from '../process/cleanup.ts';
import { assertPortsFree, claimFolder, killRecorded } from './data-lock.ts';
import { developmentSecret } from './development-token.ts';
import { migrate, startApi, startDatabase, startTemporalServer, startWorker, type PartContext } from './parts.ts';
import type { StackOptions } from './options.ts';

/** The scripts that make up Parley. */
type StackScripts = { migrate: string; worker: string; api: string };

export type StackInput = {
  options: StackOptions;
  scripts: StackScripts;
  /** The environment handed on to Parley's processes. */
  env: NodeJS.ProcessEnv;
  /** Told what is going on, one line at a time. */
  say: (line: string) => void;
};

export type Stack = {
  databaseUrl: string;
  temporalAddress: string;
  uiUrl: string | undefined;
  secret: string | undefined;
};

export type Supervisor = {
  /** Resolves when everything is ready. */
  readonly started: Promise<Stack>;
  /** Resolves with the reason when something ended that cannot be started again. */
  readonly failed: Promise<Error>;
  /** Stops everything in reverse order, also in the middle of a start. */
  stop: () => Promise<void>;
  /** SIGKILL for everything at once. */
  kill: () => void;
};

/** Starts Parley with all it needs on this machine, and looks after it. */
export function superviseStack({ options, scripts, env, say }: StackInput): Supervisor {
  const cleanup = createCleanup();
  const abort = new AbortController();
  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<Error>((resolve) => {
    fail = resolve;
  });
  const started = start({ options, scripts, env, say, cleanup, fail, signal: abort.signal });
  // Whoever stops a start is not interested in its failure; everybody else awaits the promise.
  started.catch(() => undefined);
  return {
    started,
    failed,
    async stop() {
      abort.abort(new Error('Stopped while starting.'));
      await Promise.allSettled([started]);
      await cleanup.run();
    },
    kill: () => killRecorded(options),
  };
}

async function start(context: PartContext): Promise<Stack> {
  const { stack, children } = await startServers(context);
  await migrate(children);
  await startWorker(children);
  await startApi(children);
  return stack;
}

/** Starts PostgreSQL and Temporal. `children` is the context in which Parley's own processes are started on them. */
export async function startServers(context: PartContext): Promise<{ stack: Stack; children: PartContext }> {
  const { options, signal, env } = context;
  await claimFolder(context);
  await assertPortsFree(options);
  const secret = developmentSecret(options);
  const databaseUrl = options.databaseUrl ?? (await startDatabase(context));
  signal.throwIfAborted();
  const temporal =
    options.temporalAddress === undefined
      ? await startTemporalServer(context)
      : { address: options.temporalAddress, uiUrl: undefined };
  signal.throwIfAborted();

  const children: PartContext = {
    ...context,
    env: {
      ...env,
      DATABASE_URL: databaseUrl,
      TEMPORAL_ADDRESS: temporal.address,
      TEMPORAL_NAMESPACE: options.namespace,
      ...(temporal.uiUrl === undefined ? {} : { TEMPORAL_UI_URL: temporal.uiUrl }),
      PARLEY_DATA_DIR: options.dataDir,
      PORT: String(options.ports.api),
      ADMIN_PORT: String(options.ports.admin),
      SDK_METRICS_PORT: String(options.ports.sdkMetrics),
      ...(secret === undefined ? {} : { JWT_SECRET: secret }),
    },
  };
  return { stack: { databaseUrl, temporalAddress: temporal.address, uiUrl: temporal.uiUrl, secret }, children };
}
