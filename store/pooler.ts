import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { ensureError } from '../domain/errors.ts';
import { StartError } from '../domain/start-error.ts';
import { PoolerError } from './pooler-error.ts';
import { type DatabaseServer, connectionOf } from './server.ts';
import { settle, sessionSettings } from './session-settings.ts';

/**
 * What a connection is to the server: a session that nobody stands before, a session that a pooler lends to it, or a share of the
 * sessions of a pooler, another one for each transaction.
 */
export type SessionKind = 'direct' | 'session' | 'transaction';

/** The database by the ways that lead to it. */
export interface DatabaseWays {
  /** For everything but what needs a session. */
  readonly main: DatabaseServer;
  /** For what needs a session: LISTEN and migrations. Another one only if it has a URL of its own. */
  readonly direct: DatabaseServer;
}

/** The name is the same for all connections, as the names of all our statements are. */
const PROBE = { name: 'parley-probe', text: 'select pg_backend_pid() as pid' };
/** Two connections in this order: a pooler that shares sessions gives the same one to both, or another one to the same. */
const TURNS = [0, 1, 1, 0, 0, 1] as const;
/** A named statement exists already, or does not exist: it was prepared in the session of another. */
const LOST_STATEMENT = ['42P05', '26000'];
const ANSWER_MS = 3000;

const DIRECT = 'Set DATABASE_DIRECT_URL to PostgreSQL itself, or to a pooler in session mode';

/**
 * Tries whether everything works that Parley needs of its connections: prepared statements, transactions, sessions and notifications.
 * @param settled false: before the migration the role of a pooler may lack its settings
 * @throws PoolerError or StartError for what cannot work, with reason and mend; other errors when the database cannot be reached
 */
export async function checkConnections({ main, direct }: DatabaseWays, settled = true): Promise<SessionKind> {
  const kind = await sessionKind(main, settled);
  if (direct === main) {
    if (kind !== 'transaction') return kind;
    throw new PoolerError(
      'it is in transaction mode, and notifications need a session',
      `${DIRECT}. Only one connection of each process uses it.`,
    );
  }
  const other = await sessionKind(direct, false).catch((error: unknown) => {
    if (error instanceof StartError) throw error;
    throw new StartError(`DATABASE_DIRECT_URL: ${ensureError(error).message}`, {
      cause: error,
    });
  });
  if (other === 'transaction') {
    throw new PoolerError('DATABASE_DIRECT_URL leads to a pooler in transaction mode', `${DIRECT}.`);
  }
  await checkNotifications({ main, direct });
  return kind;
}

async function sessionKind(server: DatabaseServer, settled: boolean): Promise<SessionKind> {
  return withClients([server, server], async (clients) => {
    const [first] = clients;
    await first?.query('begin').catch(refuseStatementMode);
    await first?.query('rollback');
    const pids: [number[], number[]] = [[], []];
    for (const turn of TURNS) pids[turn].push(await probe(clients[turn]));
    const [one, other] = [new Set(pids[0]), new Set(pids[1])];
    const isShared = one.size > 1 || other.size > 1 || [...one].some((pid) => other.has(pid));
    if (settled && first !== undefined) await settle(first, sessionSettings());
    if (isShared) return 'transaction';
    return one.has((first as { readonly processID?: number } | undefined)?.processID ?? 0) ? 'direct' : 'session';
  });
}

async function probe(client: pg.Client | undefined): Promise<number> {
  try {
    const answer = await client?.query<{ pid: number }>(PROBE);
    return answer?.rows[0]?.pid ?? 0;
  } catch (error) {
    if (error instanceof pg.DatabaseError && LOST_STATEMENT.includes(error.code ?? '')) throw noStatements(error);
    throw error;
  }
}

function noStatements(cause: Error): PoolerError {
  return new PoolerError(
    `it loses prepared statements (${cause.message})`,
    'It is in transaction mode and does not keep them, as PgBouncer before 1.21; or it is in session mode and does not clean sessions ' +
      'between connections. Set pool_mode = session with server_reset_query = DISCARD ALL; or take PgBouncer 1.21 or newer with ' +
      'max_prepared_statements = 200; or set DATABASE_URL to PostgreSQL itself. docs/how-to/postgres.md has other poolers.',
  );
}

function refuseStatementMode(error: unknown): never {
  if (!(error instanceof pg.DatabaseError) || !/transaction block/i.test(error.message)) throw error;
  throw new PoolerError(
    `it takes no transactions (${error.message})`,
    'It is in statement mode. Set pool_mode = session, or with PgBouncer 1.21 or newer pool_mode = transaction.',
  );
}

/** A notification through one way must arrive at the other. @throws StartError if it does not */
async function checkNotifications({ main, direct }: DatabaseWays): Promise<void> {
  const channel = `parley_probe_${randomUUID().replaceAll('-', '')}`;
  await withClients([direct, main], async ([listener, sender]) => {
    let timer: NodeJS.Timeout | undefined;
    const came = new Promise<boolean>((resolve) => {
      listener?.once('notification', () => resolve(true));
      timer = setTimeout(() => resolve(false), ANSWER_MS);
    });
    try {
      await listener?.query(`listen ${channel}`);
      await sender?.query('select pg_notify($1, $2)', [channel, '']);
      if (await came) return;
    } finally {
      clearTimeout(timer);
    }
    throw new StartError(
      `A notification that was sent through DATABASE_URL did not arrive through DATABASE_DIRECT_URL within ${ANSWER_MS / 1000} s. ` +
        'Both must lead to the same database of the same server, the second one to a session.',
    );
  });
}

async function withClients<T>(
  servers: readonly DatabaseServer[],
  use: (clients: readonly pg.Client[]) => Promise<T>,
): Promise<T> {
  const clients = servers.map(
    (server) => new pg.Client({ ...connectionOf(server), application_name: 'parley-probe', query_timeout: ANSWER_MS }),
  );
  // A connection that breaks gives its error to the statement too.
  for (const client of clients) client.on('error', () => undefined);
  try {
    for (const client of clients) await client.connect();
    return await use(clients);
  } finally {
    for (const client of clients) void client.end().catch(() => undefined);
  }
}
