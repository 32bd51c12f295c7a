import type { Logger } from 'pino';

/**
 * Logs an uncaught error and ends the process with exit code 1. Without this, Node prints every field of the error, and
 * the fields of a database error may contain stored values.
 */
export function logUncaughtErrors(log: Logger): void {
  process.once('uncaughtException', (error) => {
    log.fatal({ err: error }, 'process ended by an uncaught error');
    process.exit(1);
  });
}
