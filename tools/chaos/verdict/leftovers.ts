import type pg from 'pg';
import { waitUntil } from '../../harness/wait-until.ts';

/** What nobody works on any more is gone after this time. */
const SETTLED_MS = 20_000;
/** Increments that a terminated run had taken are applied by the sweep, once a minute. */
const COUNTED_MS = 150_000;

export interface Leftovers {
  /** Staged rows of requests whose process was killed, or that ended by their deadline: only the sweep takes them. */
  readonly orphans: number;
  readonly problems: readonly string[];
}

/** Nothing of an operation is left where operations wait: no staged bytes, no increment that is not counted. */
export async function judgeLeftovers(pool: pg.Pool): Promise<Leftovers> {
  const problems: string[] = [];
  const staged = (): Promise<number> => count(pool, 'staged');
  let orphans = 0;
  await waitUntil(async () => (orphans = await staged()) === 0, {
    what: 'staged is empty',
    timeoutMs: SETTLED_MS,
  }).catch(() => undefined);
  // As the sweep of the service does, without the ten minutes that it waits.
  await pool.query('select sweep_staged(conversation, now()) from (select distinct conversation from staged) s');
  const left = await staged();
  if (left > 0) problems.push(`${left} rows of staged bytes stay after a sweep`);

  if (await hasTable(pool, 'pending_increment')) {
    let pending = 0;
    await waitUntil(async () => (pending = await count(pool, 'pending_increment')) === 0, {
      what: 'every increment is counted',
      timeoutMs: COUNTED_MS,
    }).catch(() => undefined);
    if (pending > 0) problems.push(`${pending} increments were answered and are not counted`);
  }
  return { orphans, problems };
}

async function count(pool: pg.Pool, table: 'staged' | 'pending_increment'): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(`select count(*)::int as count from ${table}`);
  return rows[0]?.count ?? 0;
}

async function hasTable(pool: pg.Pool, name: string): Promise<boolean> {
  const { rows } = await pool.query<{ found: boolean }>('select to_regclass($1) is not null as found', [name]);
  return rows[0]?.found === true;
}
