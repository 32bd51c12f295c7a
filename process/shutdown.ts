import type { Logger } from 'pino';

/**
 * One Ctrl-C sends two signals: the terminal sends one, and npm forwards another. Signals within this time count as
 * one.
 */
const SAME_SIGNAL_MS = 1000;

/** Starts the shutdown at the first SIGTERM or SIGINT. A second signal ends the process at once. */
export function shutDownOnSignals(shutdown: (signal: string) => Promise<void>, log: Logger): void {
  let endingSince: number | undefined;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (endingSince === undefined) {
        endingSince = Date.now();
        void shutdown(signal);
      } else if (Date.now() - endingSince > SAME_SIGNAL_MS) {
        log.warn({ signal }, 'second signal: ending at once');
        process.exit(1);
      }
    });
  }
}
