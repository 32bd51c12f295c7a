import type pg from 'pg';
import { DEFAULT_POLICY, type SupervisionPolicy, parsePolicy } from '../../domain/supervision/policy.ts';
import { readSetting, writeSetting } from '../settings.ts';

const SETTING = 'supervisor';

export interface StoredPolicy {
  readonly policy: SupervisionPolicy;
  /** Another one after each change, also to the same policy; '' = nobody has changed it. */
  readonly mark: string;
  /** The clock of the database; milliseconds since 1970. */
  readonly databaseMs: number;
}

/** The policy that is in force: the default until an operator changes it, and where this version does not know the stored one. */
export async function readPolicy(pool: pg.Pool): Promise<StoredPolicy> {
  const { value, databaseMs } = await readSetting(pool, SETTING);
  if (typeof value !== 'object' || value === null) return { policy: DEFAULT_POLICY, mark: '', databaseMs };
  const { policy, mark } = value as { policy?: unknown; mark?: unknown };
  return {
    policy: parsePolicy(policy) ?? DEFAULT_POLICY,
    mark: typeof mark === 'string' ? mark : '',
    databaseMs,
  };
}

/** @param mark another one for each change */
export async function writePolicy(pool: pg.Pool, policy: SupervisionPolicy, mark: string): Promise<void> {
  await writeSetting(pool, SETTING, { policy, mark });
}
