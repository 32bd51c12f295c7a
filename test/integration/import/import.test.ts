import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { collectFindings } from '../../../ops/import/findings.ts';
import { describeReport, isComplete } from '../../../ops/import/describe.ts';
import { type Original, openOriginal } from '../../../ops/import/original.ts';
import { type ImportOptions, type ImportReport, runImport } from '../../../ops/import/run.ts';
import { auditConversations } from '../../../store/consistency/audit.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { makeRandom } from '../../../tools/load/random.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { at, groupId, idOf, plant, plantMess, plantMessage, useOriginal } from '../../harness/import/original.ts';
import { testKeyPackage } from '../../harness/key-packages.ts';

const original = useOriginal();
const { database, service } = useApi();
const SEED = 20_261_128;
let source: Original;

beforeEach(async () => {
  source = await openOriginal(original.url, 5);
});

afterEach(async () => {
  await source.pool.end();
  await original.pool.query('truncate conversations cascade; truncate devices, key_packages');
  await database().pool.query(
    'truncate parley_import.conversation, conversation, entry, member, period, change, welcome, welcome_body, operation cascade',
  );
});

function runOnce(options: Partial<ImportOptions> = {}, signal?: AbortSignal): Promise<ImportReport> {
  const given = { dryRun: false, parallel: 3, ...options };
  return runImport({
    original: source,
    pool: database().pool,
    options: given,
    ...(signal === undefined ? {} : { signal }),
  });
}

const found = (report: ImportReport): Record<string, number> =>
  Object.fromEntries(report.findings.map(({ finding, count }) => [finding, count]));

interface EntryRow {
  readonly seq: number;
  readonly kind: string;
  readonly epoch: number;
  readonly id: string;
  readonly sender: string | null;
}

async function log(pool: pg.Pool, id: string): Promise<EntryRow[]> {
  const { rows } = await pool.query<EntryRow>(
    `select e.seq, e.kind, e.epoch, e.message_id as id, e.sender from entry e join conversation c on c.key = e.conversation
     where c.id = $1 order by e.seq`,
    [id],
  );
  return rows;
}

test('a conversation goes on where the original left it: log, members, unread count and epoch', async () => {
  const convo = await plant(original, { members: ['did:alice', 'did:bob'], epoch: 2 });
  await plantMessage(original, convo, { seq: 1, epoch: 0, second: 1, msg_id: 'hello', sender_did: 'did:alice' });
  await plantMessage(original, convo, { seq: 2, epoch: 1, second: 2, message_type: 'commit', msg_id: 'add-carol' });
  await original.add('members', { convo_id: convo, member_did: 'did:carol', joined_at: at(2) });
  await plantMessage(original, convo, { seq: 3, epoch: 1, second: 3, msg_id: 'hi-carol' });
  await plantMessage(original, convo, { seq: 4, epoch: 2, second: 4, message_type: 'commit', msg_id: 'remove-bob' });
  await original.pool.query(`update members set left_at = $1 where member_did = 'did:bob'`, [at(4)]);
  await plantMessage(original, convo, { seq: 5, epoch: 2, second: 5, msg_id: 'without-bob' });
  await original.pool.query(`update members set last_read_at = $1 where member_did = 'did:carol'`, [at(4)]);

  const report = await runOnce();
  expect(found(report)).toEqual({ 'no-read-position': 1 });
  expect(isComplete(report)).toBe(true);
  const id = idOf(convo);
  await checkInvariants(database().pool, id);
  expect(await log(database().pool, id)).toEqual([
    { seq: 1, kind: 'application', epoch: 0, id: 'hello', sender: 'did:alice' },
    { seq: 2, kind: 'commit', epoch: 0, id: 'add-carol', sender: null },
    { seq: 3, kind: 'application', epoch: 1, id: 'hi-carol', sender: null },
    { seq: 4, kind: 'commit', epoch: 1, id: 'remove-bob', sender: null },
    { seq: 5, kind: 'application', epoch: 2, id: 'without-bob', sender: null },
  ]);

  const seqs = async (user: string): Promise<unknown> => {
    const { body } = await service.ask(`GET /v1/conversations/${id}/messages`, { user });
    return (body.entries as { seq: number }[]).map(({ seq }) => seq);
  };
  expect(await seqs('did:alice')).toEqual([1, 2, 3, 4, 5]);
  // Up to the commit that removed it, and from the commit that added it.
  expect(await seqs('did:bob')).toEqual([1, 2, 3, 4]);
  expect(await seqs('did:carol')).toEqual([2, 3, 4, 5]);
  const seenBy = await service.ask(`GET /v1/conversations/${id}`, { user: 'did:carol' });
  expect(seenBy.body).toMatchObject({ epoch: 2, lastSeq: 5, memberCount: 2, unread: 1, role: 'member' });

  // And it is served like any other from now on.
  const body = { id: 'first-here', ciphertext: 'bmV3', epoch: 2 };
  const sent = await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'did:carol', body });
  expect(sent.body).toMatchObject({ results: [{ seq: 6, epoch: 2, status: 'accepted' }] });
  const commit = { commit: 'Y29tbWl0', epoch: 2, removes: ['did:carol'] };
  const committed = await service.ask(`POST /v1/conversations/${id}/commits`, { user: 'did:alice', body: commit });
  expect(committed.body).toMatchObject({ seq: 7, epoch: 3 });
  await checkInvariants(database().pool, id);
});

test('a retry of a message that the original acknowledged is answered as a duplicate', async () => {
  const convo = await plant(original, { members: ['did:alice'] });
  await plantMessage(original, convo, { seq: 9, epoch: 0, second: 1, msg_id: 'once', ciphertext: Buffer.from('same') });
  await runOnce();
  const send = (text: string): ReturnType<typeof service.ask> =>
    service.ask(`POST /v1/conversations/${idOf(convo)}/messages`, {
      user: 'did:alice',
      body: { id: 'once', ciphertext: Buffer.from(text).toString('base64'), epoch: 0 },
    });
  expect((await send('same')).body).toMatchObject({ results: [{ seq: 1, status: 'duplicate' }] });
  expect((await send('other')).status).toBe(422);
});

test('numbers that races broke are made whole, in order, and the report says so', async () => {
  const convo = await plant(original, { members: ['did:a'], epoch: 6 });
  // Two adders read epoch 5 and both wrote 6; two senders read the same highest seq; early commits have none; 7 is missing.
  const rows = [
    { seq: 4, epoch: 5, second: 1, msg_id: 'm4' },
    { seq: 5, epoch: 5, second: 2, msg_id: 'm5a' },
    { seq: 5, epoch: 5, second: 3, msg_id: 'm5b' },
    { seq: 0, epoch: 6, second: 4, message_type: 'commit', msg_id: 'c6a' },
    { seq: 0, epoch: 6, second: 5, message_type: 'commit', msg_id: 'c6b' },
    { seq: 8, epoch: 1, second: 6, msg_id: 'm8' },
  ];
  for (const row of rows) await plantMessage(original, convo, row);
  const report = await runOnce();
  expect(found(report)).toMatchObject({
    'duplicate-epochs': 1,
    'duplicate-seqs': 3,
    'missing-seqs': 2,
    'moved-epochs': 1,
  });
  await checkInvariants(database().pool, idOf(convo));
  expect((await log(database().pool, idOf(convo))).map(({ seq, id, epoch }) => [seq, id, epoch])).toEqual([
    [1, 'm4', 4],
    [2, 'm5a', 4],
    [3, 'm5b', 4],
    [4, 'c6a', 4],
    [5, 'c6b', 5],
    // Five epochs behind; the window allows two.
    [6, 'm8', 4],
  ]);
  const { rows: conversations } = await database().pool.query('select epoch from conversation');
  expect(conversations).toEqual([{ epoch: 6 }]);
});

test('whatever the original has, the invariants hold, and no message is missing', { timeout: 120_000 }, async () => {
  const random = makeRandom(SEED);
  const convos: string[] = [];
  for (let n = 0; n < 40; n++) convos.push(await plantMess(original, random));
  const plan = await runOnce({ dryRun: true });
  const report = await runOnce();
  expect(report.findings.filter(({ finding }) => finding === 'failed')).toEqual([]);
  expect(report).toMatchObject({ imported: 40, leftOut: 0 });
  // A dry run says the same as the import does.
  expect(found(plan)).toEqual(found(report));
  const { imported, entries, members, welcomes } = report;
  expect(plan).toMatchObject({ imported, entries, members, welcomes, check: undefined });
  for (const convo of convos) await checkInvariants(database().pool, idOf(convo));
  // And so says the audit that operators have.
  const audit = await auditConversations(database().pool, convos.map(idOf));
  expect(audit).toMatchObject({ checked: convos.length, findings: [] });

  const { rows: wanted } = await original.pool.query<Record<string, string>>(
    `select convo_id as convo, count(*) as messages, string_agg(encode(sha256(ciphertext), 'hex'), ' ' order by sha256(ciphertext)) as bodies
     from messages where message_type = 'commit' or expires_at is null group by 1 order by 1`,
  );
  const { rows: stored } = await database().pool.query<Record<string, string>>(
    `select c.id as convo, count(*) as messages, string_agg(encode(e.sha256, 'hex'), ' ' order by e.sha256) as bodies
     from conversation c join entry e on e.conversation = c.key group by 1`,
  );
  const byId = new Map(stored.map((row) => [row.convo, row]));
  expect(wanted.length).toBeGreaterThan(30);
  for (const { convo = '', messages, bodies } of wanted) {
    expect(byId.get(idOf(convo))).toEqual({ convo: idOf(convo), messages: Number(messages), bodies });
  }
});

test('a second run writes nothing, and a third takes over what has changed in the original since', async () => {
  const quiet = await plant(original, { members: ['did:a'] });
  const busy = await plant(original, { members: ['did:a', 'did:b'] });
  await plantMessage(original, busy, { seq: 1, epoch: 0, second: 1 });
  expect(await runOnce()).toMatchObject({ imported: 2, entries: 1 });
  expect(await runOnce()).toMatchObject({ imported: 0, replaced: 0, unchanged: 2, entries: 0 });
  await plantMessage(original, busy, { seq: 2, epoch: 0, second: 2, msg_id: 'later' });
  expect(await runOnce()).toMatchObject({ imported: 0, replaced: 1, unchanged: 1, entries: 2 });
  for (const id of [quiet, busy]) await checkInvariants(database().pool, idOf(id));
  expect((await log(database().pool, idOf(busy))).at(-1)).toMatchObject({ seq: 2, id: 'later' });
});

test('what Parley has served since is never replaced', async () => {
  const convo = await plant(original, { members: ['did:a'] });
  await runOnce();
  const body = { id: 'new', ciphertext: 'bmV3', epoch: 0 };
  await service.ask(`POST /v1/conversations/${idOf(convo)}/messages`, { user: 'did:a', body });
  await plantMessage(original, convo, { seq: 1, epoch: 0, second: 9 });
  const report = await runOnce();
  expect(found(report)).toMatchObject({ 'changed-on-both-sides': 1 });
  expect(isComplete(report)).toBe(false);
  expect(await log(database().pool, idOf(convo))).toMatchObject([{ id: 'new' }]);
});

test('an id that somebody else has taken in Parley is left alone', async () => {
  const convo = await plant(original, { members: ['did:a'] });
  const body = { id: idOf(convo), protocol: 'opaque', policy: { externalJoin: 'nobody' } };
  expect((await service.ask('POST /v1/conversations', { user: 'did:z', body })).status).toBe(201);
  const report = await runOnce();
  expect(found(report)).toEqual({ taken: 1 });
  expect(report.leftOut).toBe(1);
});

test('one conversation that cannot be written stops no other, and says why', async () => {
  const good = await plant(original, { members: ['did:a'] });
  const bad = await plant(original, { members: ['did:a'] });
  // The row has the client's id of the message before it for its own.
  await plantMessage(original, bad, { seq: 1, epoch: 0, second: 1, msg_id: 'same' });
  await plantMessage(original, bad, { seq: 2, epoch: 0, second: 2, id: 'same' });
  const report = await runOnce();
  expect(found(report)).toEqual({ failed: 1 });
  expect(describeReport(report)).toContain(bad);
  await checkInvariants(database().pool, idOf(good));
  expect(await log(database().pool, idOf(bad))).toEqual([]);
});

test('Welcomes that still open something are carried, the others are named', async () => {
  const convo = await plant(original, { members: ['did:a', 'did:early'], epoch: 1 });
  const welcome = (recipient: string, second: number, bytes: string): Promise<void> =>
    original.add('welcome_messages', {
      id: randomUUID(),
      convo_id: convo,
      recipient_did: recipient,
      welcome_data: Buffer.from(bytes),
      created_at: at(second),
      created_by_did: 'did:a',
    });
  // Of the creation, which wrote no commit.
  await welcome('did:early', 0, 'first');
  await plantMessage(original, convo, { seq: 1, epoch: 1, second: 5, message_type: 'commit' });
  await original.add('members', { convo_id: convo, member_did: 'did:b#phone', user_did: 'did:b', joined_at: at(5) });
  await welcome('did:b#phone', 5, 'second');
  const report = await runOnce();
  expect(report.welcomes).toBe(1);
  expect(found(report)).toMatchObject({ 'lost-welcomes': 1 });
  await checkInvariants(database().pool, idOf(convo));
  const { rows } = await database().pool.query('select user_id, device_id, seq, epoch, inviter, size from welcome');
  expect(rows).toEqual([{ user_id: 'did:b', device_id: 'phone', seq: 1, epoch: 1, inviter: 'did:a', size: 6 }]);
});

test('devices and their unused key packages come along, if they are good', async () => {
  const bytes = Buffer.from((await testKeyPackage('did:a')).message, 'base64');
  const row = { owner_did: 'did:a', device_id: 'phone', cipher_suite: '1', key_package_hash: '' };
  await original.add('devices', {
    id: randomUUID(),
    user_did: 'did:a',
    device_id: 'phone',
    credential_did: 'did:a#phone',
  });
  await original.add('key_packages', { ...row, id: randomUUID(), key_package: bytes });
  // Without the head of an MLSMessage; of another identity; consumed; no key package at all.
  const bare = Buffer.from((await testKeyPackage('did:a')).message, 'base64').subarray(4);
  await original.add('key_packages', { ...row, id: randomUUID(), key_package: bare });
  await original.add('key_packages', { ...row, id: randomUUID(), owner_did: 'did:b', key_package: bytes });
  await original.add('key_packages', { ...row, id: randomUUID(), key_package: Buffer.from('no') });
  await original.add('key_packages', { ...row, id: randomUUID(), key_package: bytes, consumed_at: at(0) });
  const report = await runOnce();
  expect(report).toMatchObject({ devices: 1, keyPackages: 2 });
  expect(found(report)).toEqual({ 'key-packages-refused': 2 });
  expect(await runOnce()).toMatchObject({ devices: 1, keyPackages: 2 });
  const claim = await service.ask('POST /v1/users/did:a/key-packages/claim', { user: 'did:z', body: {} });
  expect(claim.body).toMatchObject({ keyPackages: [{ device: 'phone' }] });
});

test('a version of the original without the later columns and tables is imported too', async () => {
  const convo = await plant(original, { members: ['did:a', 'did:b'], epoch: 1 });
  await plantMessage(original, convo, { seq: 1, epoch: 0, second: 1, sender_did: 'did:b' });
  await plantMessage(original, convo, { seq: 0, epoch: 1, second: 2, message_type: 'commit', sender_did: 'system' });
  const client = await source.pool.connect();
  try {
    // Undone by the rollback: the other tests need them.
    await original.pool.query(`alter schema public rename to late; create schema public;
      create table conversations as select id, creator_did, current_epoch, created_at from late.conversations;
      create table members as select convo_id, member_did, joined_at, left_at from late.members;
      create table messages as select id, convo_id, sender_did, message_type, epoch, seq, ciphertext, created_at from late.messages`);
    const old = await openOriginal(original.url, 3);
    try {
      const options = { dryRun: false, parallel: 1 };
      const report = await runImport({ original: old, pool: database().pool, options });
      expect(report).toMatchObject({ imported: 1, entries: 2, devices: 0, keyPackages: 0 });
    } finally {
      await old.pool.end();
    }
  } finally {
    client.release();
    await original.pool.query('drop schema public cascade; alter schema late rename to public');
  }
  await checkInvariants(database().pool, idOf(convo));
  expect(await log(database().pool, idOf(convo))).toMatchObject([
    { sender: 'did:b' },
    { kind: 'commit', sender: null },
  ]);
});

test('a database that is not the original is refused by name of what it lacks', async () => {
  await expect(openOriginal(database().url, 1)).rejects.toThrow('it has no conversations.id');
});

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the command itself. */
function command(args: readonly string[]): { readonly ended: Promise<Ended>; readonly kill: () => void } {
  const child = spawn(process.execPath, [path.join(packageRoot(), 'dist/ops/import/main.js'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH },
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (out += text.toString()));
  child.stderr.on('data', (text: Buffer) => (err += text.toString()));
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, out, err }));
  return { ended, kill: () => void child.kill('SIGKILL') };
}

test('the command may be killed at any moment: the next run goes on, and all is there once', async () => {
  const COUNT = 60;
  await original.pool.query(
    `insert into conversations (id, creator_did, created_at) select md5(n::text), 'did:a', now() - interval '1 day' from generate_series(1, $1::int) n`,
    [COUNT],
  );
  await original.pool.query(
    `insert into members (convo_id, member_did, joined_at) select id, 'did:a', created_at from conversations`,
  );
  await original.pool.query(
    `insert into messages (id, convo_id, seq, ciphertext, created_at)
     select gen_random_uuid()::text, id, n, sha256(int8send(n)), now() - interval '1 hour' from conversations, generate_series(1, 60) n`,
  );
  const args = ['--from', original.url, '--to', database().url];
  const dry = await command([...args, '--dry-run']).ended;
  expect(dry.out).toContain(`${COUNT} would be imported`);
  expect(dry.code).toBe(0);

  const killed = command([...args, '--parallel', '1']);
  const count = async (): Promise<number> => {
    const { rows } = await database().pool.query<{ count: number }>('select count(*) from conversation');
    return rows[0]?.count ?? 0;
  };
  await waitUntil(async () => (await count()) > 2, { what: 'some conversations are imported', everyMs: 2 });
  killed.kill();
  await killed.ended;
  const before = await count();
  expect(before).toBeLessThan(COUNT);

  const { out, code } = await command([...args, '--json']).ended;
  const report = JSON.parse(out) as ImportReport;
  expect(code).toBe(0);
  expect(report.imported + report.unchanged).toBe(COUNT);
  expect(report.unchanged).toBeGreaterThan(2);
  expect(report.check).toEqual({ conversations: COUNT, entries: COUNT * 60, stored: COUNT * 60 });
});

test('wrong arguments end with 2, and say how it is called', async () => {
  expect(await command([]).ended).toMatchObject({
    code: 2,
    err: expect.stringContaining('--from is missing') as string,
  });
  const { code, out } = await command(['--help']).ended;
  expect([code, out]).toEqual([0, expect.stringContaining('--retention-days')]);
});

test('a stop ends it after what is being written, with a report', async () => {
  for (let n = 0; n < 3; n++) await plant(original, { members: ['did:a'], id: groupId() });
  const stopped = new AbortController();
  stopped.abort();
  expect(await runOnce({}, stopped.signal)).toMatchObject({ imported: 0 });
  expect(await runOnce()).toMatchObject({ imported: 3 });
});

test('findings keep a few examples, however many there are', () => {
  const findings = collectFindings();
  for (let n = 0; n < 100; n++) findings.add('expired', `c${n}`, 2);
  expect(findings.lines()).toMatchObject([{ count: 200, examples: ['c0', 'c1', 'c2', 'c3', 'c4'] }]);
});
