import { StartError } from '../domain/start-error.ts';

/**
 * A pooler between this process and PostgreSQL is set up in a way that cannot work. A process does not start with it; one that runs is
 * not ready.
 */
export class PoolerError extends StartError {
  override readonly name = 'PoolerError';
  /** SQLSTATE "connection refused by the server": for requests it is as if the database were away. */
  readonly code = '08004';
  /** For answers that anybody may read: it names no role and no host. */
  readonly reason: string;

  /** @param mend what is wrong in full, and what to do. It may name role and database */
  constructor(reason: string, mend: string) {
    super(`The pooler in front of PostgreSQL cannot be used: ${reason}. ${mend}`);
    this.reason = `the pooler in front of PostgreSQL cannot be used: ${reason} (the log says what to do)`;
  }
}
