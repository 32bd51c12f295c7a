import { DefaultLogger, type Logger as TemporalLogger } from '@temporalio/worker';
import type { Logger } from 'pino';

/** What the SDK says of each failed try of an activity. */
const ACTIVITY_FAILED = 'Activity failed';

/** Writes Temporal's logs (core, SDK and workflow code) to our own log. */
export function temporalLogger(log: Logger): TemporalLogger {
  // At this level the SDK does not create lines that our log would drop.
  const level = log.isLevelEnabled('debug') ? 'DEBUG' : 'INFO';
  return new DefaultLogger(level, ({ level, message, meta = {} }) => {
    const { error, ...fields } = meta as Record<string, unknown>;
    const line = { ...fields, ...(error === undefined ? {} : { err: error }) };
    switch (level) {
      case 'TRACE':
      case 'DEBUG':
        return log.debug(line, message);
      case 'INFO':
        return log.info(line, message);
      case 'WARN':
        // Our own line about a failed activity says for whom it ran and what it waited for.
        return message === ACTIVITY_FAILED ? log.debug(line, message) : log.warn(line, message);
      default:
        return log.error(line, message);
    }
  });
}
