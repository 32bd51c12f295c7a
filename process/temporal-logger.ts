import { DefaultLogger, type Logger as TemporalLogger } from '@temporalio/worker';
import type { Logger } from 'pino';

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
        return log.warn(line, message);
      default:
        return log.error(line, message);
    }
  });
}
