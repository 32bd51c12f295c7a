import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { expect, test } from 'vitest';
import { resolveProgram } from '../../local/temporal-binary.ts';
import { temporalCli } from '../../local/temporal-programs.ts';
import { startTemporal } from '../../local/temporal-server.ts';
import { loopback } from '../../local/ports.ts';
import { type Postgres, startPostgres } from '../../local/postgres.ts';
import { migrateDatabase } from '../../tools/harness/databases.ts';
import { type EventStream, entriesOf, openAccountStream, openEventStream } from '../../tools/harness/event-stream.ts';
import { checkInvariants, findInconsistencies } from '../../tools/harness/invariants.ts';
import { createOpaque, newMessage, readLog, sendInOrder, upTo } from '../../tools/harness/opaque.ts';
import type { Service } from '../../tools/harness/service.ts';
import { copyCluster, copyStopped, makeArchive, recoverTo, startStandby } from '../../tools/harness/standby.ts';
import { startTcpProxy } from '../../tools/harness/tcp-proxy.ts';
import { temporaryFolder } from '../../tools/harness/temporary-folder.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { type TestServiceSetup, startTestService } from '../harness/service.ts';
import { delivered } from '../harness/streams/delivered.ts';

// The rehearsal of docs/how-to/back-up-and-restore.md, with real servers. Operations go through workflows, which remember more than a
// restored database does.

const later = useCleanup();
const say = (): void => undefined;
const PATIENCE_MS = 60_000;
const folderOf = (name: string): string => {
  const folder = temporaryFolder(name);
  later('folder', folder.remove);
  return folder.path;
};

async function start(databaseUrl: string, setup: TestServiceSetup = {}): Promise<Service> {
  const env = { CONVERSATION_PATH: 'workflow', ...setup.env };
  const service = await startTestService(databaseUrl, { apis: 1, workers: 1, ...setup, env });
  later('service', service.kill);
  return service;
}

/** Runs statements on a server of a test. */
async function on(server: Postgres, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) ({ rows } = await client.query<Record<string, unknown>>(statement));
    return rows;
  } finally {
    await client.end();
  }
}

const healthOf = async (service: Service): Promise<Record<string, unknown>> =>
  (await (await fetch(`${String(service.urls()[0])}/health`)).json()) as Record<string, unknown>;
const incarnationsTold = (stream: EventStream): unknown[] =>
  delivered(stream).flatMap(({ event, incarnation }) => (event === 'service' ? [incarnation] : []));
const isTold = (stream: EventStream, event: string): boolean => delivered(stream).some((one) => one.event === event);

/** Streams of two devices of bob: of the one conversation, and of all. */
async function openStreams(service: Service, conversation: string): Promise<{ one: EventStream; all: EventStream }> {
  const url = String(service.urls()[0]);
  const one = await openEventStream(url, conversation, await service.token('bob', { device: 'one' }));
  const all = await openAccountStream(url, await service.token('bob', { device: 'all' }));
  later('streams', () => [one, all].forEach((stream) => stream.close()));
  return { one, all };
}

/** What holds after every restore: devices were told, and the service goes on from what the database has. */
async function expectGoesOn(
  service: Service,
  {
    conversation,
    kept,
    streams,
  }: { conversation: string; kept: number; streams?: { one: EventStream; all: EventStream } },
): Promise<void> {
  if (streams !== undefined) {
    const { one, all } = streams;
    await waitUntil(() => incarnationsTold(all).length > 1, {
      what: 'the incarnation is told',
      timeoutMs: PATIENCE_MS,
    });
    await waitUntil(() => isTold(one, 'log-restarted') && (isTold(all, 'log-restarted') || isTold(all, 'reconnect')), {
      what: 'both streams are told that the log restarted',
      timeoutMs: PATIENCE_MS,
    });
    expect(one.endedAt()).toBeDefined();
    // A stream that the restored database does not know comes back; it was not replaced.
    expect(isTold(all, 'replaced')).toBe(false);
    expect((await healthOf(service)).incarnation).toBe(incarnationsTold(all).at(-1));
  }
  const alice = service.clientOf('alice');
  const sent = await sendInOrder(alice, conversation, 3);
  expect(sent).toMatchObject([kept + 1, kept + 2, kept + 3].map((seq) => ({ seq, status: 'accepted' })));
  expect((await readLog(service.clientOf('bob'), conversation)).map(({ seq }) => seq)).toEqual(upTo(kept + 3));
  await checkInvariants(service.pool, conversation);
  expect(await findInconsistencies(service.pool)).toEqual([]);
}

test('recovery to a point in time: open streams are told, and workflows that know more go by the database', async () => {
  const folder = folderOf('pitr');
  const archive = makeArchive(path.join(folder, 'archive'));
  const primary = await startPostgres({ dataDir: path.join(folder, 'primary'), say, flags: archive.flags });
  later('primary', () => primary.kill9());
  await migrateDatabase(primary.url());
  const service = await start(primary.url());
  const alice = service.clientOf('alice');
  const conversation = await createOpaque(alice, ['bob']);
  await sendInOrder(alice, conversation, 5);
  await copyCluster(primary, path.join(folder, 'restored'));
  await sendInOrder(alice, conversation, 3);
  await on(primary, "select pg_create_restore_point('before')");
  const streams = await openStreams(service, conversation);
  const lost = newMessage();
  expect(await alice.send(conversation, lost)).toMatchObject({ seq: 9 });
  const made = await createOpaque(alice, ['bob']);
  await waitUntil(() => entriesOf(streams.one).length === 9 && isTold(streams.all, 'entry'), { what: 'bob has all' });
  await waitUntil(() => delivered(streams.all).some((one) => one.conversation === made), {
    what: 'bob has the new one',
  });
  const [{ file } = {}] = await on(primary, 'select pg_walfile_name(pg_switch_wal()) as file');
  await waitUntil(
    async () =>
      String((await on(primary, 'select last_archived_wal as file from pg_stat_archiver'))[0]?.file) >= String(file),
    { what: 'the WAL is archived', timeoutMs: PATIENCE_MS },
  );

  await primary.kill9();
  const restored = await recoverTo('before', {
    dataDir: path.join(folder, 'restored'),
    archive,
    port: primary.port,
    say,
  });
  later('restored', () => restored.kill9());
  await waitUntil(async () => (await on(restored, 'select not pg_is_in_recovery() as done'))[0]?.done === true, {
    what: 'it is promoted',
    timeoutMs: PATIENCE_MS,
  });
  await expectGoesOn(service, { conversation, kept: 8, streams });
  expect(await alice.send(conversation, lost)).toMatchObject({ seq: 12, status: 'accepted' });
  await expect(service.clientOf('bob').log(made)).rejects.toMatchObject({ status: 404 });
});

test('a promoted standby that lacks the last second: the same', async () => {
  const folder = folderOf('failover');
  const primary = await startPostgres({ dataDir: path.join(folder, 'primary'), say, durable: false });
  later('primary', () => primary.kill9());
  await migrateDatabase(primary.url());
  const standby = await startStandby(primary, path.join(folder, 'standby'), say);
  later('standby', () => standby.kill9());
  const proxy = await startTcpProxy(`${loopback}:${primary.port}`);
  later('proxy', proxy.close);
  const url = new URL(primary.url());
  url.port = String(proxy.port);
  const service = await start(url.href);
  const alice = service.clientOf('alice');
  const conversation = await createOpaque(alice, ['bob']);
  await sendInOrder(alice, conversation, 4);
  const streams = await openStreams(service, conversation);
  // What is inserted, not what is flushed: this primary flushes after it has answered.
  const [{ lsn } = {}] = await on(primary, 'select pg_current_wal_insert_lsn() as lsn');
  await waitUntil(
    async () => (await on(standby, `select pg_last_wal_replay_lsn() >= '${String(lsn)}' as has`))[0]?.has === true,
    { what: 'the standby has four messages' },
  );
  await on(standby, "alter system set primary_conninfo = ''", 'select pg_reload_conf()');
  await waitUntil(async () => (await on(primary, 'select from pg_stat_replication')).length === 0, {
    what: 'the standby is cut off',
  });
  await sendInOrder(alice, conversation, 3);
  await waitUntil(() => entriesOf(streams.one).length === 7, { what: 'bob has seven messages' });

  await primary.kill9();
  await on(standby, 'select pg_promote()');
  proxy.retarget(`${loopback}:${standby.port}`);
  proxy.cut();
  await expectGoesOn(service, { conversation, kept: 4, streams });
});

test('invariant 3: with a synchronous standby, no acknowledged message is missing after a failover', async () => {
  const folder = folderOf('synchronous');
  const primary = await startPostgres({
    dataDir: path.join(folder, 'primary'),
    say,
    durable: false,
    flags: ['-c', 'synchronous_commit=on'],
  });
  later('primary', () => primary.kill9());
  await migrateDatabase(primary.url());
  const standby = await startStandby(primary, path.join(folder, 'standby'), say, ['-c', 'synchronous_commit=on']);
  later('standby', () => standby.kill9());
  await on(primary, "alter system set synchronous_standby_names = 'standby'", 'select pg_reload_conf()');
  await waitUntil(
    async () => (await on(primary, 'select sync_state from pg_stat_replication'))[0]?.sync_state === 'sync',
    { what: 'the standby is synchronous' },
  );
  const proxy = await startTcpProxy(`${loopback}:${primary.port}`);
  later('proxy', proxy.close);
  const url = new URL(primary.url());
  url.port = String(proxy.port);
  const service = await start(url.href, { env: { CONVERSATION_PATH: 'direct' } });
  const conversation = await createOpaque(service.clientOf('alice'), ['bob']);
  const acknowledged = new Map<string, number>();
  let isOver = false;
  const sender = async (): Promise<void> => {
    const client = service.clientOf('alice', { attempts: 1 });
    while (!isOver) {
      const message = newMessage();
      const result = await client.send(conversation, message).catch(() => undefined);
      if (result !== undefined) acknowledged.set(message.id, result.seq);
    }
  };
  const senders = [sender(), sender(), sender(), sender()];
  await waitUntil(() => acknowledged.size > 50, { what: 'messages are acknowledged' });
  await primary.kill9();
  const before = acknowledged.size;
  await on(standby, 'select pg_promote()');
  proxy.retarget(`${loopback}:${standby.port}`);
  proxy.cut();
  await waitUntil(() => acknowledged.size > before + 20, { what: 'it goes on', timeoutMs: PATIENCE_MS });
  isOver = true;
  await Promise.all(senders);
  const log = new Map((await readLog(service.clientOf('bob'), conversation)).map(({ id, seq }) => [id, seq]));
  for (const [id, seq] of acknowledged) expect(log.get(id), id).toBe(seq);
  await checkInvariants(service.pool, conversation);
});

test('a snapshot of the disk keeps timeline and server: a process that runs sees it by the shorter WAL', async () => {
  const folder = folderOf('snapshot');
  const dataDir = path.join(folder, 'primary');
  const first = await startPostgres({ dataDir, say });
  later('first', () => first.kill9());
  await migrateDatabase(first.url());
  const service = await start(first.url(), { workers: 0, env: { CONVERSATION_PATH: 'direct' } });
  const alice = service.clientOf('alice');
  const conversation = await createOpaque(alice, ['bob']);
  await sendInOrder(alice, conversation, 2);
  await first.stop();
  await copyStopped(first, path.join(folder, 'snapshot'));
  const second = await startPostgres({ dataDir, port: first.port, say });
  later('second', () => second.kill9());
  await waitUntil(async () => (await healthOf(service)).status !== 'unhealthy', { what: 'it serves again' });
  const streams = await openStreams(service, conversation);
  await sendInOrder(alice, conversation, 40);
  await waitUntil(() => entriesOf(streams.one).length === 42, { what: 'bob has all' });
  // The branch that comes back will not soon have as much. A process looks as often as it signs.
  await on(second, 'select pg_switch_wal()');
  const signedAt = async (): Promise<string> =>
    JSON.stringify(await on(second, "select seen_at from parley.process where kind = 'api'"));
  for (let signs = 0; signs < 3; signs++) {
    const before = await signedAt();
    await waitUntil(async () => (await signedAt()) !== before, { what: 'the process looks' });
  }
  await second.kill9();
  rmSync(dataDir, { recursive: true });
  cpSync(path.join(folder, 'snapshot'), dataDir, { recursive: true });
  await copyStopped({ ...second, dataDir: path.join(folder, 'snapshot') }, dataDir);
  const third = await startPostgres({ dataDir, port: first.port, say, isRestart: true });
  later('third', () => third.kill9());
  await expectGoesOn(service, { conversation, kept: 2, streams });
});

test('an older state of Temporal: nothing is lost or doubled', async () => {
  const folder = folderOf('temporal');
  const dataDir = path.join(folder, 'temporal');
  const binary = await resolveProgram(temporalCli, { say });
  let temporal = await startTemporal({ binary, dataDir, say });
  later('temporal', () => temporal.kill9());
  const port = Number(temporal.address.split(':')[1]);
  const primary = await startPostgres({ dataDir: path.join(folder, 'postgres'), say, durable: false });
  later('primary', () => primary.kill9());
  await migrateDatabase(primary.url());
  const service = await start(primary.url(), { temporalAddress: temporal.address });
  const alice = service.clientOf('alice');
  const [old, ended] = [await createOpaque(alice, ['bob']), await createOpaque(alice, ['bob'])];
  for (const conversation of [old, ended]) await sendInOrder(alice, conversation, 4);
  await temporal.stop();
  cpSync(dataDir, path.join(folder, 'backup'), { recursive: true });
  temporal = await startTemporal({ binary, dataDir, port, say });

  // Runs of both go on, one run ends, and a conversation begins that the backup of Temporal does not know.
  const send = async (conversation: string, count: number): Promise<void> => {
    await waitUntil(async () => (await alice.send(conversation, newMessage()).catch(() => undefined)) !== undefined, {
      what: 'Temporal serves again',
      timeoutMs: PATIENCE_MS,
    });
    await sendInOrder(alice, conversation, count - 1);
  };
  const counted = async (conversation: string): Promise<number> => (await alice.conversation(conversation)).lastSeq;
  await send(old, 5);
  await send(ended, 5);
  await service.clientOf('operator').admin.shutdown(ended);
  const recent = await createOpaque(alice, ['bob']);
  await send(recent, 2);
  const before = await Promise.all([old, ended, recent].map(counted));

  await temporal.kill9();
  rmSync(dataDir, { recursive: true });
  cpSync(path.join(folder, 'backup'), dataDir, { recursive: true });
  temporal = await startTemporal({ binary, dataDir, port, say });
  for (const [i, conversation] of [old, ended, recent].entries()) {
    await send(conversation, 3);
    const seqs = (await readLog(service.clientOf('bob'), conversation)).map(({ seq }) => seq);
    expect(seqs).toEqual(upTo(seqs.length));
    expect(seqs.length).toBeGreaterThanOrEqual((before[i] ?? Infinity) + 3);
    await checkInvariants(service.pool, conversation);
  }
  expect(await findInconsistencies(service.pool)).toEqual([]);
});
