import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createHttp, ParleyClient } from '../../../client/index.ts';
import { stackOptions, type StackOptions } from '../../../local/options.ts';
import { partFiles, partNames, type PartName } from '../../../local/parts.ts';
import { livePid } from '../../../local/pid-file.ts';
import { freePort, settlePorts } from '../../../local/ports.ts';
import { commandLine, processIdentity, signalProcess } from '../../../local/process-table.ts';
import { type Supervisor, superviseStack } from '../../../local/stack.ts';
import { makeTemporalClient } from '../../../process/temporal-client.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { LIMITS_OFF } from '../../../tools/harness/limits-off.ts';
import { SECRET, tokenOf } from '../../../tools/harness/tokens.ts';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { useFolder } from '../../harness/folder.ts';

// `npm start` with real processes, whose servers are killed.

const folder = useFolder();
const said: string[] = [];
let options: StackOptions;
let supervisor: Supervisor;
/** Messages that the service accepted. */
let sent = 0;

beforeAll(async () => {
  const ports = ['PORT', 'ADMIN_PORT', 'POSTGRES_PORT', 'TEMPORAL_PORT', 'TEMPORAL_UI_PORT', 'CONTROL_PORT'];
  const env: Record<string, string> = {
    ...LIMITS_OFF,
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '',
    PARLEY_DATA_DIR: path.join(folder, 'data'),
    HOST: '127.0.0.1',
    SDK_METRICS_PORT: '0',
    JWT_SECRET: SECRET,
    CONVERSATION_PATH: 'auto',
  };
  for (const name of ports) env[name] = String(await freePort());
  options = stackOptions(env, packageRoot());
  const script = (...names: string[]): string => path.join(packageRoot(), 'dist', ...names);
  supervisor = superviseStack({
    options,
    scripts: {
      migrate: script('ops', 'migrate.js'),
      worker: script('worker', 'main.js'),
      api: script('api', 'main.js'),
    },
    env,
    say: (line) => said.push(line),
  });
  await supervisor.started;
}, 240_000);

afterAll(() => supervisor.stop(), 120_000);

function pidOf(part: PartName): number {
  const pid = livePid(partFiles(options, part).pidFile);
  if (pid === undefined) throw new Error(`${part} does not run`);
  return pid;
}

function kill(part: PartName): number {
  const pid = pidOf(part);
  said.length = 0;
  signalProcess(pid, 'SIGKILL');
  return pid;
}

const url = (): string => `http://127.0.0.1:${options.ports.api}`;
const client = (attempts: number): ParleyClient =>
  new ParleyClient(createHttp({ baseUrl: url(), token: () => tokenOf('alice'), attempts }));
const CONVERSATION = 'cmVzdGFydHM';

async function send(id: string, attempts: number): Promise<void> {
  await client(attempts).send(CONVERSATION, { id, ciphertext: 'aGVsbG8=' });
  sent += 1;
}

async function runOf(): Promise<string | undefined> {
  const { client: temporal, connection } = makeTemporalClient({
    address: `127.0.0.1:${options.ports.temporal}`,
    namespace: options.namespace,
    identity: 'test',
  });
  try {
    return (await temporal.workflow.getHandle(`conversation/${CONVERSATION}`).describe()).runId;
  } finally {
    await connection.close();
  }
}

test('a killed Temporal comes back on its port with its data, and API and worker run on meanwhile', async () => {
  await client(3).createConversation({ id: CONVERSATION, protocol: 'opaque' });
  // While Temporal is slow on a busy machine, messages go the direct way, and the conversation needs no workflow yet.
  const run = await tryUntil(
    async () => {
      await send(`before ${sent}`, 3);
      return runOf();
    },
    { what: 'a workflow decides for the conversation' },
  );
  const others = [pidOf('api'), pidOf('worker'), pidOf('postgres')];
  const killed = kill('temporal');
  await waitUntil(() => said.some((line) => line.includes('ended unexpectedly')), { what: 'it is seen' });
  // Reads come from PostgreSQL.
  expect(await client(1).conversation(CONVERSATION)).toMatchObject({ lastSeq: sent });
  expect((await fetch(`${url()}/health/ready`)).status).toBe(200);

  await waitUntil(() => said.includes('Temporal: ready again'), { what: 'Temporal is back', timeoutMs: 90_000 });
  expect(said).toEqual([
    `Temporal: ended unexpectedly (SIGKILL); restarting in 0.5 s. Its log: ${partFiles(options, 'temporal').logFile}`,
    'Temporal: ready again',
  ]);
  expect(pidOf('temporal')).not.toBe(killed);
  expect([pidOf('api'), pidOf('worker'), pidOf('postgres')]).toEqual(others);
  await tryUntil(() => send('after', 1), {
    what: 'messages are accepted',
    timeoutMs: 60_000,
  });
  expect(await runOf()).toBe(run);
}, 180_000);

test('a killed PostgreSQL comes back with its data', async () => {
  kill('postgres');
  await waitUntil(() => said.includes('PostgreSQL: ready again'), { what: 'PostgreSQL is back', timeoutMs: 120_000 });
  await waitUntil(async () => (await fetch(`${url()}/health/ready`)).ok, { what: 'the API is ready again' });
  expect(await client(5).conversation(CONVERSATION)).toMatchObject({ lastSeq: sent });
}, 180_000);

test.each([
  ['worker', 'Worker'],
  ['api', 'API'],
] as const)(
  'a killed %s comes back, and a line says so',
  async (part, name) => {
    const killed = kill(part);
    await waitUntil(() => said.includes(`${name}: ready again`), { what: 'it is back', timeoutMs: 90_000 });
    expect(said[0]).toContain(`${name}: ended unexpectedly (SIGKILL); restarting in 0.5 s.`);
    expect(pidOf(part)).not.toBe(killed);
    expect((await fetch(`${url()}/health/ready`)).ok).toBe(true);
  },
  120_000,
);

test('a stop during a restart leaves no process and no port', async () => {
  const pids = partNames.flatMap((part) => livePid(partFiles(options, part).pidFile) ?? []);
  expect(pids).toHaveLength(4);
  kill('temporal');
  await waitUntil(() => said.some((line) => line.includes('restarting')), { what: 'it is about to restart' });
  await supervisor.stop();
  expect(pids.filter((pid) => processIdentity(pid) !== undefined).map(commandLine)).toEqual([]);
  expect(partNames.flatMap((part) => livePid(partFiles(options, part).pidFile) ?? [])).toEqual([]);
  expect((await settlePorts(options)).problems).toEqual([]);
  expect(readFileSync(partFiles(options, 'api').logFile, 'utf8')).not.toContain('failed to start');
}, 120_000);
