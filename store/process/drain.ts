import type pg from 'pg';
import { type Row, integer, object, text } from '../row.ts';
import { readSetting, writeSetting } from '../settings.ts';

/** Operators have taken the workflow path out of use, for example for a maintenance of Temporal. */
export interface Drain {
  /** RFC 3339. */
  readonly since: string;
  /** User id of the operator. */
  readonly by: string;
  /** The path setting before it, which comes back afterwards. */
  readonly before: { readonly path: string; readonly rollout: number };
}

const SETTING = 'drain';

/** @returns `undefined`: the workflow path is in use */
export async function readDrain(pool: pg.Pool): Promise<Drain | undefined> {
  const { value } = await readSetting(pool, SETTING);
  if (value === undefined) return undefined;
  const row = value as Row;
  const before = object(row, 'before');
  return {
    since: text(row, 'since'),
    by: text(row, 'by'),
    before: { path: text(before, 'path'), rollout: integer(before, 'rollout') },
  };
}

/** Whether nobody may start runs of conversations without need. */
export async function isDrained(pool: pg.Pool): Promise<boolean> {
  return (await readSetting(pool, SETTING)).value !== undefined;
}

/** @param drain `undefined` = the workflow path is in use again */
export async function writeDrain(pool: pg.Pool, drain: Drain | undefined): Promise<void> {
  await writeSetting(pool, SETTING, drain ?? null);
}
