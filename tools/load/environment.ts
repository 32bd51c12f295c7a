/**
 * What differs from the harness's own environment in every process under load: no log line per request, no conversation that
 * ends itself in the middle of a run, and a deadline that shows a slow answer as slow and not as an error.
 */
export const LOAD_ENVIRONMENT: Readonly<Record<string, string>> = {
  NODE_ENV: 'production',
  LOG_LEVEL: 'warn',
  IDLE_TIMEOUT: '2h',
  REQUEST_DEADLINE_MS: '30000',
  SDK_METRICS_PORT: '0',
};
