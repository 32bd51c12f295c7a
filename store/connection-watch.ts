import { StartError } from '../domain/start-error.ts';
import { PoolerError } from './pooler-error.ts';
import { type DatabaseWays, type SessionKind, checkConnections } from './pooler.ts';

/** Somebody may change the mode of a pooler, or put one in place, while this process runs. */
const CHECK_EVERY_MS = 5000;

export interface ConnectionWatch {
  /** Why the connections cannot be used, for anybody to read; undefined = they can, or the database cannot be reached. */
  readonly problem: () => string | undefined;
  readonly close: () => void;
}

/**
 * Checks the connections to the database now, and behind a pooler again all the time.
 * @param onChange a check found a problem, another one than before, or none any more
 * @throws StartError when they cannot work. While the database cannot be reached this is not known: then the process starts
 */
export async function watchConnections(
  ways: DatabaseWays,
  {
    onChange,
    everyMs = CHECK_EVERY_MS,
  }: { readonly onChange: (problem: Error | undefined) => void; readonly everyMs?: number },
): Promise<ConnectionWatch> {
  let kind: SessionKind | undefined;
  let problem: Error | undefined;
  const become = (next: Error | undefined): void => {
    if (next?.message === problem?.message) return;
    problem = next;
    onChange(next);
  };
  const check = async (): Promise<Error | undefined> => {
    try {
      kind = await checkConnections(ways);
      return undefined;
    } catch (error) {
      if (error instanceof StartError) return error;
      // The database does not answer, which others notice. What was known of the connections stays.
      return problem;
    }
  };
  const first = await check();
  if (first !== undefined) throw first;
  let isChecking = false;
  const timer = setInterval(() => {
    if (isChecking || kind === 'direct') return;
    isChecking = true;
    void check()
      .then(become)
      .finally(() => (isChecking = false));
  }, everyMs);
  timer.unref();
  return {
    problem: () => {
      if (problem === undefined) return undefined;
      return problem instanceof PoolerError ? problem.reason : 'the way for sessions does not lead to the database';
    },
    close: () => clearInterval(timer),
  };
}
