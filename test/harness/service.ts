import { conversationRuns } from '../../dispatch/running-workflows.ts';
import { historyToPlain } from '../../dispatch/history-json.ts';
import { afterAll, beforeAll, beforeEach, inject } from 'vitest';
import { type Service, type ServiceSetup, startService } from '../../tools/harness/service.ts';
import type { ServiceProcess } from '../../tools/harness/processes.ts';
import { type TestDatabase, createTestDatabase, useDatabase } from './database.ts';

export interface TestServiceSetup extends ServiceSetup {
  /** @default the Temporal server of the run */
  readonly temporalAddress?: string;
}

/** Starts the processes of a service on a database of the tests. */
export function startTestService(databaseUrl: string, setup: TestServiceSetup = {}): Promise<Service> {
  const { temporalAddress = inject('temporalAddress'), ...rest } = setup;
  return startService({ databaseUrl, temporalAddress, name: 'test' }, rest);
}

/**
 * The service of a test file (or of a group of tests), started before its first test and stopped after its last. When a test
 * fails, the last lines of all processes are printed, and the history of a run whose workflow tasks fail.
 */
export function useService(
  setup: TestServiceSetup | (() => TestServiceSetup) = {},
  database: () => Pick<TestDatabase, 'url'> = useDatabase(),
): () => Service {
  let service: Service | undefined;
  beforeAll(async () => {
    service = await startTestService(database().url, typeof setup === 'function' ? setup() : setup);
  });
  beforeEach(({ onTestFailed }) => {
    onTestFailed(async () => {
      if (service === undefined) return;
      printTails([...service.apis, ...service.workers]);
      await printFailingRun(service).catch(() => undefined);
    });
  });
  afterAll(() => service?.stop());
  return () => {
    if (service === undefined) throw new Error('The service runs only while tests run');
    return service;
  };
}

/** A fresh database and a service on it, for tests that break the service: it is killed, not stopped, at the end. */
export async function startServiceOnDatabase(
  later: (name: string, release: () => Promise<void> | void) => void,
  setup: TestServiceSetup = {},
): Promise<{ service: Service; database: TestDatabase }> {
  const database = await createTestDatabase();
  later('database', database.drop);
  const service = await startTestService(database.url, setup);
  later('service', service.kill);
  return { service, database };
}

/** Shows the last lines of processes whose logs are deleted when the run ends. */
function printTails(processes: readonly ServiceProcess[]): void {
  for (const { name, tail, isRunning, pid } of processes) {
    if (isRunning()) process.stderr.write(`--- last lines of ${name} (process ${pid})\n${tail()}\n`);
  }
}

const ASK_MS = 5000;

/** A history that cannot be replayed is gone when the tests end, and nobody can make it again at will. */
function printFailingRun({ temporal, taskQueue }: Service): Promise<void> {
  return temporal.withDeadline(Date.now() + ASK_MS, async () => {
    const query = `${conversationRuns(taskQueue)} and ExecutionStatus = 'Running'`;
    for await (const { workflowId, runId } of temporal.workflow.list({ query })) {
      const handle = temporal.workflow.getHandle(workflowId, runId);
      const { raw } = await handle.describe();
      if ((raw.pendingWorkflowTask?.attempt ?? 0) < 2) continue;
      const history = JSON.stringify(historyToPlain(await handle.fetchHistory()));
      process.stderr.write(`--- history of ${workflowId}, whose tasks fail\n${history}\n`);
      return;
    }
  });
}
