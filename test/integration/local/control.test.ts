import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createHttp, ParleyClient } from '../../../client/index.ts';
import { type StackOptions, stackOptions } from '../../../local/options.ts';
import { partFiles, type PartName, partNames } from '../../../local/parts.ts';
import type { WatchedPart } from '../../../local/part-states.ts';
import { livePid } from '../../../local/pid-file.ts';
import { freePort, portAnswers } from '../../../local/ports.ts';
import { commandLine, processIdentity } from '../../../local/process-table.ts';
import { type Supervisor, superviseStack } from '../../../local/stack.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { makeTemporalClient } from '../../../process/temporal-client.ts';
import { LIMITS_OFF } from '../../../tools/harness/limits-off.ts';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { type ControlClient, controlClient, type ControlState, type ControlStream } from '../../harness/control.ts';
import { useFolder } from '../../harness/folder.ts';

// What the buttons of the web app do to a stack of real processes, and that it recovers.

const folder = useFolder();
const said: string[] = [];
let options: StackOptions;
let supervisor: Supervisor;
let control: ControlClient;
let stream: ControlStream;

const CONVERSATION = 'Y29udHJvbA';
/** Ids of the messages that the service accepted. */
const sent: string[] = [];

beforeAll(async () => {
  const env: Record<string, string> = {
    ...LIMITS_OFF,
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '',
    PARLEY_DATA_DIR: path.join(folder, 'data'),
    SDK_METRICS_PORT: '0',
    CONVERSATION_PATH: 'auto',
  };
  for (const name of ['PORT', 'ADMIN_PORT', 'POSTGRES_PORT', 'TEMPORAL_PORT', 'TEMPORAL_UI_PORT', 'CONTROL_PORT'])
    env[name] = String(await freePort());
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
  control = controlClient(options.ports);
  stream = await control.follow();
  await waitUntil(() => stream.state() !== undefined, { what: 'the state has come' });
}, 240_000);

afterAll(async () => {
  stream.close();
  await supervisor.stop();
}, 120_000);

const url = (): string => `http://127.0.0.1:${options.ports.api}`;
const pidOf = (part: PartName): number | undefined => livePid(partFiles(options, part).pidFile);
const action = (): string | undefined => stream.state()?.action?.what;

async function client(attempts = 1): Promise<ParleyClient> {
  const { token } = await control.token({ user: 'alice' });
  return new ParleyClient(createHttp({ baseUrl: url(), token: () => token, attempts }));
}

/** Sends until it is accepted: what the outbox of the web app does. */
async function send(): Promise<void> {
  const id = `message-${sent.length}`;
  const alice = await client(3);
  await tryUntil(() => alice.send(CONVERSATION, { id, ciphertext: 'aGVsbG8=' }), {
    what: 'the message is accepted',
    timeoutMs: 90_000,
  });
  sent.push(id);
}

/** Nothing is lost, doubled or out of order. */
async function expectAllSent(): Promise<void> {
  const alice = await client(5);
  const { entries } = await alice.log(CONVERSATION, { after: 0, limit: 200 });
  expect(entries.map((entry) => ('id' in entry ? entry.id : undefined))).toEqual(sent);
}

/** Waits until nothing is being done. A new stream begins with the truth; an open one may be a moment behind. */
async function idle(): Promise<ControlState> {
  const now = await control.follow();
  try {
    await waitUntil(() => now.state()?.action === null, { what: 'the action has ended', timeoutMs: 120_000 });
    const state = now.state();
    if (state === undefined) throw new Error('There is no state');
    return state;
  } finally {
    now.close();
  }
}

async function runOf(): Promise<string | undefined> {
  const address = `127.0.0.1:${options.ports.temporal}`;
  const { client: temporal, connection } = makeTemporalClient({ address, namespace: 'default', identity: 'test' });
  try {
    return (await temporal.workflow.getHandle(`conversation/${CONVERSATION}`).describe()).runId;
  } finally {
    await connection.close();
  }
}

/** Of a process: `T` = stopped by a signal. */
function stateOf(pid = 0): string | undefined {
  return /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
}

test('every part runs, there is a backup, and the lines of the start are there', () => {
  expect(stream.state()).toMatchObject({
    parts: ['postgres', 'temporal', 'worker', 'api'].map((name) => ({ name, state: 'running', restarts: 0 })),
    backup: { takenAt: expect.any(Number) as number },
    action: null,
  });
  expect(stream.said).toContain('Database: applying migrations');
});

test('the API takes the tokens of users, devices and operators, and a token has an end', async () => {
  const ask = async (who: object, at: string): Promise<number> => {
    const { token, expiresAt } = await control.token(who);
    expect(expiresAt).toBeGreaterThan(Date.now());
    return (await fetch(`${url()}${at}`, { headers: { authorization: `Bearer ${token}` } })).status;
  };
  expect(await ask({ user: 'alice', device: 'laptop' }, '/v1/conversations')).toBe(200);
  expect(await ask({ user: 'alice' }, '/v1/admin/status')).toBe(403);
  expect(await ask({ user: 'alice', operator: true }, '/v1/admin/status')).toBe(200);
});

test.each([
  ['kill-worker', 'worker', 'Worker'],
  ['kill-api', 'api', 'API'],
  ['kill-postgres', 'postgres', 'PostgreSQL'],
] as const)(
  '%s kills the process, which comes back at once, however often: no message is lost',
  async (what, part: WatchedPart, name) => {
    if (sent.length === 0) await (await client(3)).createConversation({ id: CONVERSATION, protocol: 'opaque' });
    for (const times of [1, 2, 3]) {
      await send();
      said.length = 0;
      const killed = pidOf(part);
      expect(await control.act(what)).toMatchObject({ status: 202, body: { what } });
      // Two buttons at once: the second one says what goes on, unless the part is back already.
      const second = await control.act('take-backup');
      if (second.status !== 202) expect(second).toMatchObject({ status: 409, body: { code: 'another-action' } });
      await waitUntil(() => stream.part(part)?.restarts === times && action() === undefined, {
        what: 'it is back',
        timeoutMs: 120_000,
      });
      expect(pidOf(part)).not.toBe(killed);
      expect(said).toContainEqual(
        expect.stringContaining(`${name}: ended as the web app asked (SIGKILL); restarting in 0.5 s.`),
      );
      await send();
    }
    await expectAllSent();
  },
  300_000,
);

test('stop-temporal stops it and does not kill it; messages go the direct way; it goes on after 20 s', async () => {
  const pid = pidOf('temporal');
  expect((await control.act('stop-temporal')).status).toBe(202);
  await waitUntil(() => stream.part('temporal')?.state === 'paused', { what: 'it is paused' });
  expect(stateOf(pid)).toBe('T');
  expect(await control.act('stop-temporal')).toMatchObject({ status: 409, body: { code: 'another-action' } });
  await send();
  expect(stream.part('temporal')?.state).toBe('paused');
  expect((await idle()).parts).toContainEqual(expect.objectContaining({ name: 'temporal', state: 'running' }));
  expect([pidOf('temporal'), stream.part('temporal')?.restarts]).toEqual([pid, 0]);
  await tryUntil(runOf, { what: 'Temporal answers again' });
  await send();
  await expectAllSent();
}, 180_000);

test('terminate-workflow ends the run of one conversation, and the next message starts another', async () => {
  const run = await tryUntil(
    async () => {
      await send();
      return runOf();
    },
    { what: 'a workflow decides for the conversation' },
  );
  expect((await control.act('terminate-workflow', CONVERSATION)).status).toBe(202);
  await tryUntil(
    async () => {
      await send();
      expect(await runOf()).not.toBe(run);
    },
    { what: 'another run decides' },
  );
  await expectAllSent();
  expect(await control.act('terminate-workflow', 'bm9ib2R5')).toMatchObject({
    status: 409,
    body: { code: 'no-workflow' },
  });
  await idle();
}, 180_000);

test('restore-backup brings back the database of the backup; the service says that it went back', async () => {
  const incarnation = async (): Promise<unknown> =>
    ((await (await fetch(`${url()}/health`)).json()) as { incarnation?: string }).incarnation;
  const { backup } = await idle();
  expect((await control.act('take-backup')).status).toBe(202);
  expect((await idle()).backup?.takenAt).toBeGreaterThan(backup?.takenAt ?? Infinity);
  const [before, kept] = [await tryUntil(incarnation, { what: 'the API answers' }), sent.length];
  await send();
  await send();
  expect((await control.act('restore-backup')).status).toBe(202);
  await idle();
  await waitUntil(async () => (await incarnation().catch(() => before)) !== before, {
    what: 'there is another incarnation',
  });
  sent.length = kept;
  await expectAllSent();
  await send();
  await expectAllSent();
}, 180_000);

test('a stop while Temporal is stopped leaves no process and no port', async () => {
  const pids = partNames.flatMap((part) => pidOf(part) ?? []);
  expect(pids).toHaveLength(4);
  expect((await control.act('stop-temporal')).status).toBe(202);
  const ended = supervisor.stop();
  onTestFinished(() => ended);
  await ended;
  expect(pids.filter((pid) => processIdentity(pid) !== undefined).map(commandLine)).toEqual([]);
  expect(await portAnswers(options.ports.control)).toBe(false);
}, 120_000);
