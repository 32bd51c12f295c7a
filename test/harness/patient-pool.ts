import type pg from 'pg';
import { onTestFinished } from 'vitest';
import { makePool } from '../../store/pool.ts';

/**
 * A pool of one test, whose statements may take a minute, and wait for locks nearly as long. It is for statements that the test itself
 * makes wait, and for large data: on a busy machine the limits of a service are too short for both.
 */
export function patientPool(url: string): pg.Pool {
  const pool = makePool({ url, max: 4, name: 'patient', statementTimeoutMs: 60_000 });
  pool.on('error', () => undefined);
  onTestFinished(() => pool.end());
  return pool;
}
