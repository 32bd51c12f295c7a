import type pg from 'pg';
import { postgresSettings } from './settings.ts';

/** Settings of PostgreSQL without which its log has user ids and ciphertext. A session of a plain role cannot set them. */
const PRIVATE_LOG = ['log_parameter_max_length', 'log_error_verbosity'] as const;

/**
 * Looks whether the server logs parameters of statements and details of errors.
 * @returns what to set on it, as `name=value`; empty = its log has no values
 */
export async function missingLogSettings(pool: Pick<pg.Pool, 'query'>): Promise<string[]> {
  const { rows } = await pool.query<{ name: string; setting: string }>(
    'select name, setting from pg_settings where name = any ($1)',
    [PRIVATE_LOG],
  );
  const current = new Map(rows.map(({ name, setting }) => [name, setting]));
  return PRIVATE_LOG.filter((name) => current.get(name) !== postgresSettings[name]).map(
    (name) => `${name}=${postgresSettings[name]}`,
  );
}
