import type { Logger } from 'pino';

/**
 * One Ctrl-C sends two signals: the terminal sends one, and npm forwards another. Signals within this time count as
 * one.
 */
const SAME_SIGNAL_MS = 1000;

export interface ShutdownSteps {
  /** Says that the process leaves: it is not ready from now on, and serves on. */
  readonly leave: () => void;
  /**
   * Milliseconds between the two steps, after SIGTERM. Balancers go on sending until they have noticed. A person who presses Ctrl-C
   * (SIGINT) does not wait.
   */
  readonly delayMs: number;
  /** Ends the process in good order. */
  readonly shutdown: (signal: string) => Promise<void>;
  readonly log: Logger;
}

/** Starts the shutdown at the first SIGTERM or SIGINT. A later signal ends the delay, and one after that the process, at once. */
export function shutDownOnSignals({ leave, delayMs, shutdown, log }: ShutdownSteps): void {
  let latest: number | undefined;
  /** Ends the delay, while it lasts. */
  let endDelay: (() => void) | undefined;

  const start = async (signal: string): Promise<void> => {
    log.info({ signal, delayMs }, 'signal received');
    leave();
    if (signal === 'SIGTERM' && delayMs > 0) {
      await new Promise<void>((resolve) => {
        endDelay = resolve;
        setTimeout(resolve, delayMs);
      });
      endDelay = undefined;
    }
    await shutdown(signal);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      const before = latest;
      if (before !== undefined && Date.now() - before <= SAME_SIGNAL_MS) return;
      latest = Date.now();
      if (before === undefined) {
        void start(signal);
      } else if (endDelay !== undefined) {
        log.info({ signal }, 'second signal: no more delay');
        endDelay();
      } else {
        log.warn({ signal }, 'another signal: ending at once');
        process.exit(1);
      }
    });
  }
}
