import pg from 'pg';
import { PoolerError } from './pooler-error.ts';

/** Schema of all tables and functions. A schema of its own, so that other software can use the same database. */
export const SCHEMA = 'parley';

/** Time limit of one statement; below the timeout of the activity that runs it. */
export const STATEMENT_MS = 4000;

/** Settings of a session by name, as text. Times are in milliseconds. */
export type SessionSettings = Readonly<Record<string, string>>;

/**
 * Settings for the deciding transaction. Generic plans: otherwise statements with arrays are planned again at each call, 2.5 times
 * slower. Look-ups by key only: a plan that was made while the tables were tiny would keep its sequential scans, and its merge and
 * hash joins over whole indexes, when the tables have grown. Time limits.
 */
export function sessionSettings(statementMs = STATEMENT_MS): SessionSettings {
  return {
    search_path: SCHEMA,
    plan_cache_mode: 'force_generic_plan',
    enable_seqscan: 'off',
    enable_mergejoin: 'off',
    enable_hashjoin: 'off',
    jit: 'off',
    lock_timeout: String(Math.ceil(statementMs * 0.75)),
    statement_timeout: String(statementMs),
    idle_in_transaction_session_timeout: '10000',
    // A failed statement is logged without its parameters, however the server is set: they are user ids and ciphertext.
    log_parameter_max_length_on_error: '0',
  };
}

/** What a session behind a pooler has to have: its role's settings, because a pooler gives it to others too. */
const OF_ROLE = sessionSettings();

interface Found {
  readonly own: boolean;
  readonly settings: Readonly<Record<string, string>>;
  /** `name=value` of each setting of the role. */
  readonly role: readonly string[];
  readonly user: string;
  readonly database: string;
}

/**
 * Gives a new connection its settings. A session of its own gets them here. Behind a pooler they are settings of the role
 * ({@link roleSettings}); here they are only checked, and an older session, from before the role had them, gets them.
 * @throws PoolerError when the role does not have them
 */
export async function settle(client: pg.ClientBase, settings: SessionSettings): Promise<void> {
  const own = backendOf(client);
  const { rows } = await client.query<{ own: boolean }>({
    text: `select own, case when own then (select count(set_config(name, value, false)) from jsonb_each_text($2) s (name, value)) end
           from (select pg_backend_pid() = $1 as own) b`,
    values: [own, JSON.stringify(settings)],
  });
  if (rows[0]?.own === true) return;
  const found = await readSession(client);
  const wrong = wrongSettings(found);
  if (wrong.length === 0) return;
  if (!wrong.every((name) => hasRole(found, name))) throw missing(wrong, found);
  await client.query('select set_config(name, value, false) from jsonb_each_text($1) s (name, value)', [
    JSON.stringify(OF_ROLE),
  ]);
}

/** Statements that give the role of a connection its settings; empty = it has them already, or needs none. */
export async function roleSettings(client: pg.ClientBase): Promise<string[]> {
  const found = await readSession(client);
  if (found.own || wrongSettings(found).every((name) => hasRole(found, name))) return [];
  return statements(found);
}

/** Whether new sessions of the role have this setting as it must be. */
function hasRole({ role }: Found, name: string): boolean {
  return Object.entries(OF_ROLE).some(([known, value]) => known === name && role.includes(`${name}=${value}`));
}

function statements({ user, database }: Found): string[] {
  const [role, base] = [user, database].map((name) => pg.escapeIdentifier(name));
  return Object.entries(OF_ROLE).map(
    ([name, value]) => `alter role ${role} in database ${base} set ${name} = ${value};`,
  );
}

async function readSession(client: pg.ClientBase): Promise<Found> {
  const { rows } = await client.query<Found>({
    text: `select pg_backend_pid() = $1 as own, current_user as user, current_database() as database,
             (select jsonb_object_agg(name, setting) from pg_settings where name = any ($2)) as settings,
             array(select c from pg_db_role_setting s, unnest(s.setconfig) c
                   where s.setrole = (select oid from pg_roles where rolname = current_user)
                     and s.setdatabase = (select oid from pg_database where datname = current_database()))
               as role`,
    values: [backendOf(client), Object.keys(OF_ROLE)],
  });
  const [found] = rows;
  if (found === undefined) throw new Error('a statement gave no row');
  return found;
}

/** Of a session that is another program's between our transactions, the names of settings that are not ours. */
function wrongSettings({ settings }: Found): string[] {
  const found = new Map(Object.entries(settings));
  return Object.entries(OF_ROLE).flatMap(([name, value]) => (found.get(name) === value ? [] : [name]));
}

function missing(wrong: readonly string[], found: Found): PoolerError {
  return new PoolerError(
    `sessions lack settings (${wrong.join(', ')})`,
    'PostgreSQL is behind a pooler, whose sessions serve several connections, so their settings must be those of the role. Run `npm run ' +
      `migrate\` with the same DATABASE_URL, or these statements:\n${statements(found).join('\n')}\n` +
      'Then let the pooler open new sessions (PgBouncer: RECONNECT).',
  );
}

/** The process of the server that answers this connection, as it was told at the start. A pooler tells a number of its own. */
function backendOf(client: pg.ClientBase): number {
  return (client as { readonly processID?: number | null }).processID ?? 0;
}
