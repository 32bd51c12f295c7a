import { LOAD_SECRET } from './tokens.ts';

/**
 * What differs from the defaults in every process under load: no rate limits, no log line per request, no conversation that
 * ends itself in the middle of a run, and a deadline that shows a slow answer as slow and not as an error.
 */
export function loadEnvironment(given: {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly taskQueue: string;
  readonly path: 'workflow' | 'direct';
}): Record<string, string> {
  return {
    NODE_ENV: 'production',
    LOG_LEVEL: 'warn',
    DATABASE_URL: given.databaseUrl,
    TEMPORAL_ADDRESS: given.temporalAddress,
    TASK_QUEUE: given.taskQueue,
    CONVERSATION_PATH: given.path,
    JWT_SECRET: LOAD_SECRET,
    IDLE_TIMEOUT: '2h',
    REQUEST_DEADLINE_MS: '30000',
    SDK_METRICS_PORT: '0',
    RATE_LIMIT_MESSAGES: '0',
    RATE_LIMIT_COMMITS: '0',
    RATE_LIMIT_WRITES: '0',
    RATE_LIMIT_READS: '0',
    RATE_LIMIT_CLAIMS: '0',
    RATE_LIMIT_UNAUTHENTICATED: '0',
  };
}
