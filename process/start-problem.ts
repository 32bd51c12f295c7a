import { StartError } from '../domain/start-error.ts';
import type { Config } from './config.ts';
import { databaseProblem } from './database-problem.ts';

/**
 * Says in a sentence why a process did not start, if that is a mistake of whoever started it.
 * @returns undefined = another error, whose stack is needed
 */
export function startProblem(error: unknown, config: Pick<Config, 'database'>): string | undefined {
  return error instanceof StartError ? error.message : databaseProblem(error, config.database.main.url);
}
