import { createServer } from 'node:net';
import pg from 'pg';
import { type ApiConfig, type FileFindings, loadConfig } from '../process/config.ts';
import { ConfigurationError, nameIn } from '../process/configuration-error.ts';
import { databaseProblem } from '../process/database-problem.ts';
import { keyFileProblems } from '../process/key-files.ts';
import { listenAddress, listenOn } from '../process/listen.ts';
import { askTemporal, makeTemporalClient } from '../process/temporal-client.ts';
import { temporalProblem } from '../process/temporal-problem.ts';
import { temporalServer } from '../process/temporal-server.ts';
import type { StackOptions } from './options.ts';
import { messageOf } from '../process/message-of.ts';

/** Time for a server to answer. */
const TRY_MS = 5_000;
const MINIMUM_POSTGRES = 180_000;
/** Stands for what the stack will set itself. */
const OWN = {
  DATABASE_URL: 'postgres://localhost/parley',
  TEMPORAL_ADDRESS: 'localhost:7233',
  JWT_SECRET: 'x'.repeat(32),
};

/**
 * Looks for everything that API and worker would stumble over: values, files with keys, and servers that are not the stack's own. It
 * connects to these servers, and changes nothing.
 * @returns one sentence for each problem
 */
export async function configurationProblems(
  env: NodeJS.ProcessEnv,
  { listenHost, databaseUrl, temporalAddress, jwt, problems: read }: StackOptions,
  file: FileFindings,
): Promise<string[]> {
  const all: NodeJS.ProcessEnv = {
    ...env,
    ...(databaseUrl === undefined && env.DATABASE_URL_FILE === undefined ? { DATABASE_URL: OWN.DATABASE_URL } : {}),
    ...(temporalAddress === undefined ? { TEMPORAL_ADDRESS: OWN.TEMPORAL_ADDRESS } : {}),
    ...(jwt.secret === undefined && !jwt.external && env.JWT_SECRET_FILE === undefined
      ? { JWT_SECRET: OWN.JWT_SECRET }
      : {}),
  };
  const { config, problems } = usable(all, file);
  const told = new Set(read.map(nameIn));
  const more = problems.filter((problem) => !told.has(nameIn(problem)));
  const host = await tryHost(listenHost);
  if (host !== undefined) more.push(host);
  if (config === undefined) return more;
  const answers = await Promise.all([
    databaseUrl === undefined ? undefined : tryDatabase(config.databaseUrl, 'DATABASE_URL'),
    config.databaseReplicaUrl === undefined
      ? undefined
      : tryDatabase(config.databaseReplicaUrl, 'DATABASE_REPLICA_URL'),
    temporalAddress === undefined ? undefined : tryTemporal(config),
  ]);
  return [...more, ...keyFileProblems(config), ...answers.filter((answer) => answer !== undefined)];
}

/** The configuration, without what is wrong in it, so that the rest can be tried too. */
function usable(
  env: NodeJS.ProcessEnv,
  file: FileFindings,
): { config: ApiConfig | undefined; problems: readonly string[] } {
  try {
    return { config: loadConfig(env, 'api', file), problems: [] };
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    const { problems } = error;
    const wrong = new Set(problems.map(nameIn));
    const rest = Object.fromEntries(Object.entries(env).filter(([name]) => !wrong.has(name)));
    try {
      // The names in the file were looked at.
      return { config: loadConfig(rest, 'api', { problems: [], places: file.places }), problems };
    } catch {
      return { config: undefined, problems };
    }
  }
}

/**
 * Lets a server listen where the API and the worker will.
 * @param host value of `HOST`
 * @returns what is wrong
 */
async function tryHost(host: string): Promise<string | undefined> {
  const server = createServer();
  try {
    await listenOn(server, { address: await listenAddress(host), port: 0, variable: 'PORT' });
    return undefined;
  } catch (error) {
    return messageOf(error).replace(/\.$/, '');
  } finally {
    server.close();
  }
}

/** Connects and asks for the version. @returns what is wrong */
export async function tryDatabase(url: string, variable: string): Promise<string | undefined> {
  let client: pg.Client | undefined;
  try {
    // The URL may name files, which are read here.
    client = new pg.Client({ connectionString: url, connectionTimeoutMillis: TRY_MS, query_timeout: TRY_MS });
    client.on('error', () => undefined);
    await client.connect();
    const { rows } = await client.query<{ version: number; name: string; standby: boolean }>(
      `select current_setting('server_version_num')::int as version, current_setting('server_version') as name,
         pg_is_in_recovery() as standby`,
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    if (row.version < MINIMUM_POSTGRES)
      return `${variable}: the server is PostgreSQL ${row.name}. Parley needs 18 or newer`;
    if (row.standby && variable === 'DATABASE_URL')
      return `${variable}: the server is a standby, which only reads. Name the primary`;
    return undefined;
  } catch (error) {
    return databaseProblem(error, url, variable) ?? `${variable}: ${messageOf(error)}`;
  } finally {
    await client?.end().catch(() => undefined);
  }
}

/** Asks Temporal for the namespace. @returns what is wrong */
async function tryTemporal(config: ApiConfig): Promise<string | undefined> {
  const server = await temporalServer(config).catch(() => undefined);
  // A file with a certificate: told already.
  if (server === undefined) return undefined;
  const { temporalNamespace: namespace } = config;
  const { client, connection } = makeTemporalClient({ ...server, namespace, identity: 'npm-start' });
  try {
    await askTemporal(client, TRY_MS);
    return undefined;
  } catch (error) {
    return temporalProblem(error, server, namespace);
  } finally {
    await connection.close();
  }
}
