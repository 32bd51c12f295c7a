import type { Logger } from 'pino';

/**
 * Logs what nobody caught, and ends the process. Node's own report would print every field of an error, and those of the
 * database hold what was to be stored.
 */
export function logUncaught(log: Logger): void {
  process.once('uncaughtException', (error) => {
    log.fatal({ err: error }, 'ended by an error that nobody caught');
    process.exit(1);
  });
}
