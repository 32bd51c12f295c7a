/**
 * Settings of the Temporal server that differ from its defaults. Reasons: a conversation has many updates at the same
 * time, a message needs few history events, and there is one server process. `npm start` and the tests pass these
 * settings as flags. A separate Temporal server reads the same settings from `dynamic-config.yaml`.
 */
export const dynamicConfig: Readonly<Record<string, number | boolean | string>> = Object.freeze({
  // Updates at the same time, and updates per run. Conversation queues send batches, so these limits stop only
  // mistakes. The default of 10 updates at the same time allows one queue in each of 10 APIs. The default of 2000
  // updates per run would force a new run every few minutes in a busy conversation.
  'history.maxInFlightUpdates': 1000,
  'history.maxTotalUpdates': 0,
  // A higher value means fewer continue-as-new. An uncached conversation still replays in much less than a second.
  'limit.historyCount.suggestContinueAsNew': 10_000,
  // Queries that may wait while a workflow task runs. The default of 1 would refuse a second query of an operator.
  'history.MaxBufferedQueryCount': 20,
  // Long-polling calls at the same time. Every waiting update counts as one.
  'frontend.namespaceCount': 20_000,
  'frontend.rps': 24_000,
  'frontend.namespaceRPS': 24_000,
  'frontend.namespaceRPS.visibility': 100,
  'history.rps': 30_000,
  'matching.rps': 12_000,
  'frontend.persistenceMaxQPS': 20_000,
  'history.persistenceMaxQPS': 90_000,
  'matching.persistenceMaxQPS': 30_000,
  // Failures of a workflow task in a row until visibility says so, which is where the supervisor looks. The default of 5 takes half a
  // minute.
  'system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute': 3,
  // With one server process, more partitions would only forward tasks to the same process.
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
  'system.enableActivityEagerExecution': true,
  // Clients send a ping every 10 s to detect a dead connection. The server must allow this interval, with some reserve.
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

/** The settings as a file for a Temporal server. The server reads the file again when it changes. */
export function dynamicConfigYaml(config: Readonly<Record<string, number | boolean | string>> = dynamicConfig): string {
  const scalar = (value: number | boolean | string): string =>
    typeof value === 'string' ? `'${value}'` : String(value);
  const entries = Object.entries(config).map(([key, value]) => `${key}:\n  - value: ${scalar(value)}\n`);
  return `# Written by \`npm run dynamic-config\` from dynamic-config.ts. A test compares the two files.\n${entries.join('')}`;
}
