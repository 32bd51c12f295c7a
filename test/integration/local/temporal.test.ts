import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolveProgram } from '../../../local/temporal-binary.ts';
import { temporalCli, timeSkippingServer } from '../../../local/temporal-programs.ts';
import { dynamicConfig } from '../../../ops/temporal/dynamic-config.ts';
import { startTemporal, type Temporal } from '../../../local/temporal-server.ts';
import { quietRuntime } from '../../../tools/harness/conversations.ts';
import { useFolder } from '../../harness/folder.ts';

const say = (): void => undefined;
const dataDir = useFolder();
let binary: string;
let server: Temporal | undefined;

beforeAll(async () => {
  // The first time on a machine this is a download.
  binary = await resolveProgram(temporalCli, { say });
}, 120_000);

afterAll(async () => {
  await server?.stop();
});

async function withClient<T>(address: string, use: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address });
  try {
    return await use(new Client({ connection }));
  } finally {
    await connection.close();
  }
}

test('workflows survive a crash and an orderly stop, on the same port and file', async () => {
  const start = async (port?: number): Promise<Temporal> =>
    (server = await startTemporal({ binary, dataDir, say, ...(port === undefined ? {} : { port }) }));
  const first = await start();
  const port = Number(first.address.split(':')[1]);
  await withClient(first.address, ({ workflow }) =>
    workflow.start('anything', { workflowId: 'kept', taskQueue: 'none' }),
  );
  await first.kill9();

  const second = await start(port);
  await withClient(second.address, ({ workflow }) => workflow.getHandle('kept').signal('hello'));
  await second.stop();
  await second.stop();

  const third = await start(port);
  const history = await withClient(third.address, ({ workflow }) => workflow.getHandle('kept').fetchHistory());
  expect(history.events).toHaveLength(3);
  await third.kill9();
}, 120_000);

test('every dynamic value is one that the server knows, and it can read them all', async () => {
  // A misspelt key is ignored without a word, so look for the names in the server itself.
  const code = readFileSync(binary);
  for (const key of Object.keys(dynamicConfig)) expect(code.includes(key), key).toBe(true);

  const logFile = path.join(dataDir, 'in-memory.log');
  const inMemory = await startTemporal({ binary, dataDir, inMemory: true, say, logFile });
  await inMemory.stop();
  expect(readFileSync(logFile, 'utf8')).not.toContain('Failed to convert value');
});

test('a server that cannot start says why', async () => {
  const failing = startTemporal({ binary, dataDir, inMemory: true, say, flags: ['--no-such-flag'] });
  await expect(failing).rejects.toThrow(/Temporal ended while starting \(exit code 1\):[^]*no-such-flag/);
});

test('the time-skipping server runs', async () => {
  quietRuntime();
  const path = await resolveProgram(timeSkippingServer, { say });
  const env = await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path } },
  });
  const { capabilities } = await env.connection.workflowService.getSystemInfo({});
  expect(capabilities).toBeTruthy();
  await env.teardown();
}, 120_000);
