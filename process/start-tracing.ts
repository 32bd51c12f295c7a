import type { Config } from './config.ts';
import type { Tracing } from './tracing.ts';

/** Loads OpenTelemetry if the configuration has an endpoint. @returns `undefined` = tracing is off, and costs nothing */
export async function startTracing(config: Config, part: string): Promise<Tracing | undefined> {
  if (config.tracing === undefined) return undefined;
  const { makeTracing } = await import('./open-telemetry.ts');
  return makeTracing({ ...config.tracing, part });
}
