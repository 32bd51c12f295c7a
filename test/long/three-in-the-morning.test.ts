import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterEach, beforeAll, expect, inject, test, vi } from 'vitest';
import { packageRoot } from '../../process/package-root.ts';
import { newConversationId, newMessage } from '../../tools/harness/opaque.ts';
import { wedge } from '../../tools/harness/supervisor.ts';
import { type TcpProxy, startTcpProxy } from '../../tools/harness/tcp-proxy.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { sweepScheduleId } from '../../worker/schedule.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { useDatabase } from '../harness/database.ts';
import { type FaultRow, readRunbook } from '../harness/docs/three-in-the-morning.ts';
import { holdRows } from '../harness/row-locks.ts';
import { useService } from '../harness/service.ts';

// Somebody is called at 3 a.m. and has the runbook, and nothing else. Faults are planted in a running service by real means; the commands
// that find them are those of the page, run as programs. The test knows neither the row nor the commands: it goes by what is printed.

vi.setConfig({ testTimeout: 120_000, hookTimeout: 180_000 });

const { first, rows } = readRunbook();
const conversations: string[] = [];
// After the faults were taken away: signs of trouble are shown for ten minutes, and what was wedged is tried again when it has work.
afterEach(async () => {
  let looks = 1;
  await waitUntil(
    async () => {
      const { rowCount } = await service().pool.query('delete from parley.trouble');
      await Promise.allSettled(conversations.map((id) => alice().send(id, newMessage())));
      const isWell = rowFor(await type(first, '')) === undefined;
      // Another report may be on its way.
      looks = rowCount !== 0 || !isWell ? 2 : looks - 1;
      return looks === 0;
    },
    { what: 'all is well again', everyMs: 600, timeoutMs: 40_000 },
  );
});
const later = useCleanup();
const database = useDatabase();
let network: TcpProxy;
const env = { LANE_MAILBOX_LIMIT: '8', REQUEST_DEADLINE_MS: '4000' };
beforeAll(async () => {
  network = await startTcpProxy(inject('temporalAddress'));
});
const service = useService(() => ({ apis: 1, workers: 1, env, temporalAddress: network.address }), database);

/** Runs a command of the page as somebody types it. @returns what it prints */
async function type(command: string, group: string): Promise<string> {
  const url = service().urls()[0] ?? '';
  const main = path.join(packageRoot(), 'dist', 'cli', 'main.js');
  const text = command.replace('npm run parley --', `node ${main}`).replace('http://localhost:8080', url);
  const shell = spawn('bash', ['-c', text], {
    env: { PATH: process.env.PATH, PARLEY_URL: url, PARLEY_TOKEN: await service().token('operator'), GROUP: group },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const stream of [shell.stdout, shell.stderr])
    stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  await once(shell, 'close');
  return printed;
}

/** The codes of what the status says, and for conversations in trouble their signs, in its order. */
function codesIn(status: string): string[] {
  const lines = status.split('\n').map((line) => /^ *(?:!!|note) +(\S+)(?:.* in trouble \(([^)]*)\))?/.exec(line));
  return lines.flatMap((line) => (line === null ? [] : [line[1] ?? '', ...(line[2]?.split(', ') ?? [])]));
}

/** The row of the page for the first thing that the status says. */
function rowFor(status: string): FaultRow | undefined {
  return codesIn(status)
    .map((code) => rows.find(({ codes }) => codes.includes(code)))
    .find((row) => row !== undefined);
}

/** The first conversation that a text names. */
function groupIn(text: string, known: readonly string[]): string | undefined {
  const places = known.map((id) => [text.indexOf(id), id] as const).filter(([at]) => at >= 0);
  return places.sort(([a], [b]) => a - b)[0]?.[1];
}

/** Finds what is wrong by the page. @returns all that was printed */
async function find(): Promise<string> {
  let status = '';
  // Whoever is called comes later than the fault.
  await waitUntil(async () => rowFor((status = await type(first, ''))) !== undefined, {
    what: 'the status says something',
    everyMs: 500,
    timeoutMs: 40_000,
  });
  const row = rowFor(status);
  if (row === undefined) throw new Error('It says nothing');
  let printed = status;
  for (const command of row.commands) {
    printed += `\n$ ${command}\n${await type(command, groupIn(printed, conversations) ?? '')}`;
  }
  expect(1 + row.commands.length).toBeLessThanOrEqual(3);
  return printed;
}

/** Somebody who reads what the commands print knows the fault, and where it is. */
async function expectFound(fault: string, ...things: readonly string[]): Promise<void> {
  found.add(fault);
  const printed = await find();
  const see = rows.find((row) => row.fault === fault)?.see ?? [];
  expect(see.length, fault).toBeGreaterThan(0);
  for (const text of [...see, ...things]) expect(printed).toContain(text);
}

const found = new Set<string>();
const operator = () => service().clientOf('operator').admin;
const alice = () => service().clientOf('alice', { attempts: 1 });

async function conversation(members: readonly string[] = []): Promise<string> {
  const id = `A${newConversationId().slice(1)}`;
  await alice().createConversation({ id, protocol: 'opaque', members, policy: { externalJoin: 'nobody' } });
  await alice().send(id, newMessage());
  conversations.push(id);
  return id;
}

beforeAll(async () => {
  await waitUntil(async () => (await type(first, '')).includes('No problem found.'), { what: 'all is well' });
  // Otherwise it mends what the test wants to find.
  const response = await fetch(`${service().urls()[0] ?? ''}/v1/admin/supervisor`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${await service().token('operator')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ strategy: 'report-only' }),
  });
  expect(response.status).toBe(200);
});

test('the path was left changed', async () => {
  await operator().setPath({ path: 'direct', rollout: 100 });
  later('path', async () => {
    await operator().setPath({ path: 'auto', rollout: 100 });
  });
  await expectFound('the path was left changed', 'direct', 'operator');
});

test('a drain was left on', async () => {
  await type('npm run parley -- drain --yes', '');
  later('drain', async () => {
    await type('npm run parley -- drain --undo', '');
  });
  await expectFound('a drain was left on', 'by operator');
});

test('a session holds a conversation', async () => {
  const id = await conversation();
  later('lock', await holdRows(database().url, [id]));
  const sent = alice()
    .send(id, newMessage())
    .catch(() => undefined);
  later('request', async () => {
    await sent;
  });
  await expectFound('a session holds a conversation', id);
});

test('a mailbox is full', async () => {
  const people = Array.from({ length: 8 }, (_, i) => `loop-${i}`);
  const id = await conversation(people);
  const over = new AbortController();
  const loops = people.map(async (user) => {
    const client = service().clientOf(user, { attempts: 1 });
    while (!over.signal.aborted)
      await Promise.allSettled(Array.from({ length: 5 }, () => client.send(id, newMessage())));
  });
  later('loops', async () => {
    over.abort();
    await Promise.all(loops);
  });
  await expectFound('a mailbox is full', id);
});

test('a run cannot go on', async () => {
  const id = await conversation();
  await wedge(service().temporal, service().taskQueue, [id]);
  later('run', async () => {
    await type('npm run parley -- restart -- $GROUP', id);
  });
  const sent = alice()
    .send(id, newMessage())
    .catch(() => undefined);
  later('request', async () => {
    await sent;
  });
  await expectFound('a run cannot go on', id);
});

test('timers are late', async () => {
  const id = await conversation();
  const schedule = service().temporal.schedule.getHandle(sweepScheduleId(service().taskQueue));
  await schedule.pause();
  later('schedule', () => schedule.unpause());
  await service().pool.query(`update parley.conversation set due_at = now() - interval '1 hour' where id = $1`, [id]);
  later('timer', async () => {
    await service().pool.query('update parley.conversation set due_at = null');
  });
  await expectFound('timers are late', id);
});

test('stored rows contradict others', async () => {
  const id = await conversation();
  await service().pool.query('update parley.conversation set epoch = epoch + 1 where id = $1', [id]);
  later('row', async () => {
    await service().pool.query('update parley.conversation set epoch = epoch - 1 where id = $1', [id]);
    await type('npm run parley -- audit consistency --start --wait', '');
  });
  await type('npm run parley -- audit consistency --start --wait', '');
  await expectFound('stored rows contradict others', id);
});

test('a clock is wrong', async () => {
  const code = `const real = Date.now;
    globalThis.Date = class extends Date {
      constructor(...given) { given.length === 0 ? super(real() + 60000) : super(...given); }
      static now() { return real() + 60000; }
    };`;
  const wrong = await service().addApi({ NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` });
  later('process', async () => {
    await wrong.stop();
  });
  await expectFound('a clock is wrong', `${wrong.pid}`, '60 s');
});

test('Temporal does not answer', async () => {
  network.blackHole();
  later('network', async () => {
    await network.heal();
    network.cut();
  });
  await expectFound('Temporal does not answer');
});

test('no worker works', async () => {
  const pid = service().workers[0]?.pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  later('worker', () => {
    process.kill(pid, 'SIGCONT');
  });
  await expectFound('no worker works', service().taskQueue, 'silent');
});

test('a process is gone', async () => {
  const other = await service().addApi();
  await other.kill9();
  // Its row is shown for five minutes.
  later('row', async () => {
    await service().pool.query("delete from parley.process where seen_at < now() - interval '3 s'");
  });
  await expectFound('a process is gone', `${other.pid}`);
});

test('ten faults were planted, and each is of the page', () => {
  expect(found.size).toBeGreaterThanOrEqual(10);
  expect([...found].filter((fault) => !rows.some((row) => row.fault === fault))).toEqual([]);
});
