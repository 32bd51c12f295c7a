import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import pg from 'pg';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { run } from '../../../cli/run.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { reportTroubles } from '../../../store/trouble/troubles.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import { startTcpProxy } from '../../../tools/harness/tcp-proxy.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useDatabase } from '../../harness/database.ts';
import { useFolder } from '../../harness/folder.ts';
import { useService } from '../../harness/service.ts';

// Every command against a real service: what it prints, and how it ends.

const database = useDatabase();
const service = useService({ apis: 1, workers: 1, env: { CONVERSATION_PATH: 'workflow' } }, database);
const folder = useFolder();

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line as an operator. @param signal ends what is watched */
async function parley(args: readonly string[], env: NodeJS.ProcessEnv = {}, signal?: AbortSignal): Promise<Ran> {
  let out = '';
  let err = '';
  const code = await run(
    args,
    {
      env: { PARLEY_URL: service().urls()[0], PARLEY_TOKEN: await service().token('operator'), ...env },
      root: folder,
      stdin: new PassThrough(),
      stdout: { write: (text) => (out += text) },
      stderr: { write: (text) => (err += text) },
      signal: signal ?? new AbortController().signal,
    },
    '0.0.0',
  );
  return { code, out, err };
}

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { out, err } = await parley([...args, '--json']);
  expect(err).toBe('');
  return JSON.parse(out) as Record<string, unknown>;
}

let id: string;
beforeAll(async () => {
  // An id that does not look like an option.
  id = `A${newConversationId().slice(1)}`;
  const alice = service().clientOf('alice');
  await alice.createConversation({ id, protocol: 'opaque', members: ['bob'] });
  for (let i = 0; i < 3; i++)
    await alice.send(id, { id: `m${i}`, ciphertext: Buffer.from(`text ${i}`).toString('base64') });
});

test('status shows a healthy service, and ends with 0', async () => {
  await waitUntil(async () => (await parley(['status'])).code === 0, { what: 'the worker polls' });
  const { out } = await parley(['status']);
  expect(out).toContain('No problem found.');
  expect(out).toMatch(/worker polls/);
  expect((await json('status')).findings).toMatchObject([{ code: 'path' }]);
});

test('conversations are listed with filters', async () => {
  const { out, code } = await parley(['conversations', '--min-members', '2', '--idle', '0']);
  expect(code).toBe(0);
  expect(out).toContain(id);
  expect((await parley(['conversations', '--idle', '3d'])).out).toBe('No conversation.\n');
});

test('a conversation shows its facts, its run, and what the run says', async () => {
  const { out, code } = await parley(['conversation', id]);
  expect(code).toBe(0);
  expect(out).toMatch(/members +2, of them 1 admin/);
  expect(out).toMatch(/seq +1 to 3/);
  expect(out).toMatch(/status +RUNNING/);
  expect(out).toMatch(/health +healthy; 3 commands decided/);
  expect(await json('conversation', id)).toMatchObject({ lastSeq: 3, run: { state: { lastSeq: 3 } }, actions: [] });
  const missing = await parley(['conversation', newConversationId().replace(/^-/, 'A')]);
  expect([missing.code, missing.err]).toEqual([1, expect.stringMatching(/^not-found: /)]);
});

test('the life of a conversation is followed until it is ended', async () => {
  const alice = service().clientOf('alice');
  const own = `A${newConversationId().slice(1)}`;
  await alice.createConversation({ id: own, protocol: 'opaque', members: ['bob'] });
  await alice.send(own, { id: 'first', ciphertext: 'AAAA' });
  const ending = new AbortController();
  let out = '';
  const env = { PARLEY_URL: service().urls()[0], PARLEY_TOKEN: await service().token('operator') };
  const stdout = { write: (text: string) => (out += text) };
  const streams = { stdin: new PassThrough(), stdout, stderr: { write: () => undefined } };
  const following = run(['life', own], { env, root: folder, ...streams, signal: ending.signal }, '0.0.0');
  await waitUntil(() => / head +active · epoch 0 · seq 1 · 2 members/.test(out), { what: 'the conversation is told' });
  await waitUntil(() => / history +\d+ updateAccepted · sendMessages/.test(out), { what: 'the history is told' });
  const { seq } = await alice.send(own, { id: 'second', ciphertext: 'AAAA' });
  const line = new RegExp(` operation +message second · workflow \\(setting\\) · accepted as ${seq} · `);
  await waitUntil(() => line.test(out), { what: 'the message is told' });
  ending.abort();
  expect(await following).toBe(0);
  const missing = await parley(['life', newConversationId().replace(/^-/, 'A')]);
  expect([missing.code, missing.err]).toEqual([1, expect.stringMatching(/^not-found: /)]);
});

test('the life is followed on when its stream ends or breaks, and nothing is told twice', async () => {
  const alice = service().clientOf('alice');
  const own = `A${newConversationId().slice(1)}`;
  await alice.createConversation({ id: own, protocol: 'opaque', members: ['bob'] });
  const proxy = await startTcpProxy(new URL(service().urls()[0] ?? '').host);
  let opened = 0;
  proxy.inspect((direction, chunk) => {
    if (direction === 'request' && chunk.toString().startsWith('GET ')) opened++;
    return 'pass';
  });
  const file = path.join(folder, 'short-token');
  writeFileSync(file, await tokenOf('operator', { expiresIn: '8s' }));
  const ending = new AbortController();
  onTestFinished(async () => {
    ending.abort();
    await proxy.close();
  });
  let [out, err] = ['', ''];
  const env = { PARLEY_URL: `http://${proxy.address}`, PARLEY_TOKEN_FILE: file };
  const streams = {
    stdin: new PassThrough(),
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
  };
  const following = run(['life', own], { env, root: folder, ...streams, signal: ending.signal }, '0.0.0');
  const isTold = async (name: string): Promise<void> => {
    const { seq } = await alice.send(own, { id: name, ciphertext: 'AAAA' });
    await waitUntil(() => new RegExp(` entry +${seq} application `).test(out), { what: `${name} is told` });
  };
  await waitUntil(() => opened === 1, { what: 'the stream is asked for' });
  // Who comes with an expired token is refused for good, so the next token is there before.
  writeFileSync(file, await tokenOf('operator'));
  await isTold('first');
  await waitUntil(() => opened > 1, { what: 'the token has expired, and another one is used' });
  await isTold('second');
  expect(err).toBe('');
  proxy.cut();
  await isTold('third');
  expect(err).toMatch(/stream broke\. It is tried again\.\n/);
  expect(out.match(/ entry +1 application /g)).toHaveLength(1);
  // Nobody can renew a token that has no scope.
  writeFileSync(file, await tokenOf('alice'));
  proxy.cut();
  expect(await following).toBe(1);
  expect(err).toMatch(/not-allowed: .*\n$/);
});

test('a session that holds the row is named, with the way to end it', async () => {
  // An operator's own session: one of our pools would be ended for its idle transaction.
  const holder = new pg.Client({ connectionString: database().url });
  await holder.connect();
  try {
    await holder.query('begin');
    await holder.query('select from parley.conversation where id = $1 for update', [id]);
    const [{ pid }] = (await holder.query('select pg_backend_pid() as pid')).rows as [{ pid: number }];
    await waitUntil(async () => (await parley(['conversation', id])).code === 1, { what: 'the lock is old enough' });
    expect((await parley(['conversation', id])).out).toContain(`pg_terminate_backend(${pid})`);
  } finally {
    await holder.end();
  }
});

test('what users wrote never reaches the terminal as it is', async () => {
  const evil = '\u001b[2J\u009b1mall is well\nNo problem found.\u202e';
  await reportTroubles(service().pool, [{ conversation: id, sign: 'infrastructure', details: { error: evil } }]);
  for (const args of [['conversation', id], ['conversation', id, '--json'], ['status']]) {
    const { out, code } = await parley(args);
    expect(code).toBe(1);
    expect(out).not.toMatch(/[^\P{C}\n]/u);
    expect(out).not.toMatch(/^ *No problem found/m);
  }
  expect(await json('conversation', id)).toMatchObject({ signs: [{ details: { error: evil } }] });
  await service().pool.query('delete from trouble');
});

test('a run is restarted and shut down, and the audit says who and why', async () => {
  const before = ((await json('conversation', id)).run as { runId: string }).runId;
  expect(await json('restart', id, '--reason', 'a test')).toMatchObject({ running: true });
  expect(((await json('conversation', id)).run as { runId: string }).runId).not.toBe(before);
  expect((await parley(['shutdown', id])).code).toBe(0);
  const { out } = await parley(['audit', '--conversation', id]);
  expect(out).toMatch(/operator +shutdown/);
  expect(out).toMatch(/operator +restart .*a test/);
  expect((await json('audit', '--action', 'restart')).entries).toHaveLength(1);
});

test('the path is shown and changed', async () => {
  expect((await parley(['path'])).out).toMatch(/path +workflow/);
  expect((await parley(['path', 'auto', '--rollout', '50'])).out).toMatch(/rollout +50 %/);
  expect((await parley(['path', 'workflow'])).code).toBe(0);
});

test('a history is replayed against the code at hand, and a bundle of other code is found out', async () => {
  await service()
    .clientOf('alice')
    .send(id, { id: 'again', ciphertext: Buffer.from('x').toString('base64') });
  const saved = path.join(folder, 'history.json');
  const good = await parley(['replay', id, '--save', saved]);
  expect(good).toMatchObject({ code: 0, out: expect.stringContaining('this code replays them') as string });
  const bundle = readFileSync(path.join(packageRoot(), 'dist', 'bundle', 'conversation.js'), 'utf8');
  const other = path.join(folder, 'other.js');
  writeFileSync(other, bundle.replaceAll(/\bapply: /g, 'applied: ').replaceAll('.apply({', '.somethingElse({'));
  const bad = await parley(['replay', '--from', saved, '--bundle', other]);
  expect(bad.code).toBe(1);
  expect(bad.out).toContain('does NOT replay');
});

test('an export has everything, as JSON lines, in a file that only its owner reads', async () => {
  const { out, code } = await parley(['export', id]);
  expect(code).toBe(0);
  const lines = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; seq?: number });
  expect(lines.map(({ type }) => type)).toEqual([
    'conversation',
    'member',
    'member',
    ...Array.from({ length: 4 }, () => 'entry'),
    'end',
  ]);
  const file = path.join(folder, 'export.jsonl');
  expect((await parley(['export', id, '--out', file])).code).toBe(0);
  expect(readFileSync(file, 'utf8')).toBe(out);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect((await parley(['export', id, '--out', file])).code).toBe(2);
  expect((await json('audit', '--action', 'export')).entries).toHaveLength(2);
});

test('a user is shown', async () => {
  const { out, code } = await parley(['user', 'bob']);
  expect(code).toBe(0);
  expect(out).toContain(id);
  expect((await parley(['user', 'nobody-at-all'])).code).toBe(1);
});

test('the consistency audit reads all conversations, or one at once, and says what contradicts', async () => {
  const all = await parley(['audit', 'consistency', '--start', '--wait']);
  expect([all.code, all.out]).toEqual([0, expect.stringMatching(/state +finished/) as string]);
  const row = (change: string): Promise<unknown> =>
    service().pool.query(`update parley.conversation set ${change} where id = $1`, [id]);
  await row('epoch = epoch + 1');
  const one = await parley(['audit', 'consistency', '--start', '--conversation', id]);
  expect([one.code, one.out]).toEqual([1, expect.stringMatching(`${id} +epoch-counts-commits`) as string]);
  await row('epoch = epoch - 1');
  expect((await parley(['audit', 'consistency', '--start', '--conversation', id])).code).toBe(0);
});

test('the supervisor is shown', async () => {
  await waitUntil(async () => (await parley(['supervisor'])).code === 0, { what: 'it runs' });
  expect((await parley(['supervisor'])).out).toMatch(/strategy +one-for-one/);
});

test('a drain ends all runs, requests go on, and its end brings the path back', async () => {
  await service()
    .clientOf('alice')
    .send(id, { id: 'before', ciphertext: Buffer.from('x').toString('base64') });
  expect((await parley(['drain'])).code).toBe(2);
  const drained = await parley(['drain', '--yes', '--progress']);
  expect([drained.code, drained.out]).toEqual([0, expect.stringContaining('0 runs left') as string]);
  await service()
    .clientOf('alice')
    .send(id, { id: 'during', ciphertext: Buffer.from('x').toString('base64') });
  expect((await parley(['drain', '--show'])).out).toContain('0 runs left');
  expect((await json('status')).findings).toMatchObject([{ code: 'drained' }]);
  expect((await parley(['drain', '--undo'])).out).toContain('in use');
  expect(await json('path')).toMatchObject({ path: 'workflow', rollout: 100 });
});

test('a deletion asks, and then is done', async () => {
  const asked = await parley(['delete', id]);
  expect([asked.code, asked.err]).toEqual([2, 'Nobody can be asked here: give --yes\n']);
  expect((await parley(['delete', id, '--yes', '--reason', 'the end'])).out).toBe(`${id} is deleted.\n`);
  expect((await parley(['conversations', '--state', 'deleted'])).out).toContain(id);
});

test('what is watched goes on until it is ended, also while the service is away', async () => {
  const ending = new AbortController();
  let ran: Ran | undefined;
  const watching = parley(['status', '--watch', '0.1', '--json'], { PARLEY_URL: 'http://127.0.0.1:9' }, ending.signal);
  void watching.then((end) => (ran = end));
  await waitUntil(async () => (await parley(['path'])).code === 0, { what: 'another command ran meanwhile' });
  expect(ran).toBeUndefined();
  ending.abort();
  const { out, code } = await watching;
  expect(code).toBe(1);
  expect(out.split('\n')[0]).toContain('does not answer');
});

test('refusals, wrong command lines and a service that is away have their own exit codes', async () => {
  const user = await parley(['status'], { PARLEY_TOKEN: await service().token('alice') });
  expect([user.code, user.err]).toEqual([1, expect.stringContaining('needs the scope `operator`') as string]);
  expect((await parley(['status'], { PARLEY_URL: 'http://127.0.0.1:9' })).code).toBe(3);
  expect((await parley(['status'], { PARLEY_URL: 'nonsense' })).code).toBe(2);
  const abroad = await parley(['status'], { PARLEY_URL: 'https://parley.example', PARLEY_TOKEN: '' });
  expect([abroad.code, abroad.err]).toEqual([2, expect.stringContaining('PARLEY_TOKEN is missing') as string]);
});

test('a user is removed from everywhere, which can be watched until it is done, and taken back', async () => {
  const victor = service().clientOf('victor');
  await victor.createConversation({ id: `B${newConversationId().slice(1)}`, protocol: 'opaque', members: ['alice'] });
  const asked = await parley(['off-board', 'victor']);
  expect([asked.code, asked.err]).toEqual([2, expect.stringContaining('--yes')]);
  const begun = await parley(['off-board', 'victor', '--reason', 'account-closed', '--yes']);
  expect(begun.code).toBe(0);
  expect(begun.out).toMatch(/state +(?:working|done)/);
  await expect(victor.conversations()).rejects.toMatchObject({ code: 'removed' });
  await waitUntil(async () => (await parley(['off-board', 'victor', '--status'])).code === 0, { what: 'it is done' });
  expect(await json('off-board', 'victor', '--status')).toMatchObject({ user: 'victor', state: 'done', total: 1 });
  expect((await parley(['off-board', 'victor', '--undo'])).out).toMatch(/undone +\d{4}-/);
  const unknown = await parley(['off-board', 'nobody', '--status']);
  expect([unknown.code, unknown.err]).toEqual([1, expect.stringMatching(/^not-found: /)]);
});
