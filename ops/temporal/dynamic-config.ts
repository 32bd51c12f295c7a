/**
 * What our use of Temporal changes in its server: many updates per conversation at a time, few history events per message, one
 * server process. `npm start` and the tests pass these as flags; `dynamic-config.yaml` is the same for a server of its own.
 */
export const dynamicConfig: Readonly<Record<string, number | boolean | string>> = Object.freeze({
  // Updates in flight and per run: lanes batch, so these only bound accidents. The default of 10 in flight is one lane each
  // for 10 API replicas; of 2000 per run it would force a new run every few minutes in a busy conversation.
  'history.maxInFlightUpdates': 1000,
  'history.maxTotalUpdates': 0,
  // Fewer continue-as-news; a cold conversation still replays in well under a second.
  'limit.historyCount.suggestContinueAsNew': 10_000,
  // An operator's query may wait beside others while a workflow task runs; the default is 1.
  'history.MaxBufferedQueryCount': 20,
  // Long-polling calls, and every waiting update counts as one.
  'frontend.namespaceCount': 20_000,
  'frontend.rps': 24_000,
  'frontend.namespaceRPS': 24_000,
  'frontend.namespaceRPS.visibility': 100,
  'history.rps': 30_000,
  'matching.rps': 12_000,
  'frontend.persistenceMaxQPS': 20_000,
  'history.persistenceMaxQPS': 90_000,
  'matching.persistenceMaxQPS': 30_000,
  // One server process: partitions would only forward to itself.
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
  'system.enableActivityEagerExecution': true,
  // Clients ping every 10 s to notice a dead connection; the server must allow that with some slack.
  'frontend.keepAliveMinTime': '5s',
  'frontend.enableServerVersionCheck': false,
});

/** The settings as flags of `temporal server start-dev`. */
export function dynamicConfigFlags(
  config: Readonly<Record<string, number | boolean | string>> = dynamicConfig,
): string[] {
  return Object.entries(config).flatMap(([key, value]) => [
    '--dynamic-config-value',
    `${key}=${JSON.stringify(value)}`,
  ]);
}

/** The settings as the file a Temporal server reads (and reads again when it changes). */
export function dynamicConfigYaml(config: Readonly<Record<string, number | boolean | string>> = dynamicConfig): string {
  const scalar = (value: number | boolean | string): string =>
    typeof value === 'string' ? `'${value}'` : String(value);
  const entries = Object.entries(config).map(([key, value]) => `${key}:\n  - value: ${scalar(value)}\n`);
  return `# Written by \`npm run dynamic-config\` from dynamic-config.ts; a test compares the two.\n${entries.join('')}`;
}
