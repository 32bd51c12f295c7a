import type { Logger } from 'pino';
import type pg from 'pg';
import { latestRun } from '../store/consistency/runs.ts';

const EVERY_MS = 30_000;

/** What the last finished consistency audit says, whichever worker has run it. */
export interface ConsistencyWatch {
  /** `undefined` = none has finished yet. */
  readonly last: () => { readonly findings: number; readonly checked: number } | undefined;
  /** Looks now. */
  readonly look: () => Promise<void>;
  readonly close: () => void;
}

/** Reads the result regularly, for the metrics of this process. */
export function watchConsistency(pool: pg.Pool, log: Logger): ConsistencyWatch {
  let last: ReturnType<ConsistencyWatch['last']>;
  const look = async (): Promise<void> => {
    const run = await latestRun(pool, 'finished');
    last = run === undefined ? undefined : { findings: run.found, checked: run.checked };
  };
  const quietly = (): void => {
    look().catch((error: unknown) => log.debug({ err: error }, 'result of the consistency audit not read'));
  };
  quietly();
  const timer = setInterval(quietly, EVERY_MS);
  return { last: () => last, look, close: () => clearInterval(timer) };
}
