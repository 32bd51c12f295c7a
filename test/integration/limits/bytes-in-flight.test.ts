import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type Transfers, makeTransfers } from '../../../api/http/transfers.ts';
import type { InProcessApi } from '../../../tools/harness/in-process-api.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { startApi } from '../../harness/api/use-api.ts';
import { useDatabase } from '../../harness/database.ts';

const KB = 1024;
const BUDGET = 4096 * KB;
const SHARE = BUDGET / 8;

/** One user may have many bodies and answers at a time. */
const MANY_TURNS = { perUser: 64, waitingPerUser: 0 };

const database = useDatabase();
const ends: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()));
});

interface Started {
  readonly service: InProcessApi;
  readonly transfers: Transfers;
  readonly cuts: string[];
}

async function start(): Promise<Started> {
  const cuts: string[] = [];
  const transfers = makeTransfers({ budget: BUDGET, onCut: (...cut) => void cuts.push(cut.join(' ')) });
  const service = await startApi(database().pool, { transfers, heavyTurns: MANY_TURNS });
  ends.push(service.close);
  return { service, transfers, cuts };
}

interface Client {
  readonly socket: Socket;
  readonly answer: () => string;
  readonly isClosed: () => boolean;
}

/** Opens a connection, and sends the head of a request. */
async function open(service: InProcessApi, user: string, head: readonly string[]): Promise<Client> {
  const { hostname, port } = new URL(service.url);
  const socket = connect({ host: hostname, port: Number(port) });
  let text = '';
  let isClosed = false;
  socket.on('error', () => undefined).once('close', () => (isClosed = true));
  socket.on('data', (bytes) => (text += bytes.toString('latin1')));
  await once(socket, 'connect');
  const [line = '', ...more] = head;
  socket.write([line, 'host: parley', `authorization: Bearer ${await tokenOf(user)}`, ...more, '', ''].join('\r\n'));
  ends.push(() => socket.destroy());
  return { socket, answer: () => text, isClosed: () => isClosed };
}

const upload = (service: InProcessApi, user: string, announced: number): Promise<Client> =>
  open(service, user, [
    'POST /v1/conversations HTTP/1.1',
    'content-type: application/json',
    `content-length: ${announced}`,
  ]);

test('slow bodies of one user hold at most an eighth, the slowest is cut, and a bystander is served', async () => {
  const { service, transfers, cuts } = await start();
  const bodies: Client[] = [];
  for (let i = 0; i < 30; i++) {
    const body = await upload(service, 'mallory', SHARE);
    body.socket.write(Buffer.alloc(SHARE / 8, 0x20));
    bodies.push(body);
  }
  await waitUntil(() => cuts.length >= 22, { what: 'the slow bodies are cut' });
  expect(new Set(cuts)).toEqual(new Set(['received share']));
  expect(transfers.held('received')).toBeLessThanOrEqual(SHARE);
  const cut = bodies.filter(({ answer }) => answer() !== '');
  for (const { answer } of cut) expect(answer()).toMatch(/^HTTP\/1\.1 503 [^]*"code":"overloaded"/);
  // A large body of somebody else goes through.
  const members = Array.from({ length: 5000 }, (_, i) => `a user with a long name, number ${i}`);
  await createConversation(service, members, { policy: { maxMembers: 10_000 } });
  // Connections of bodies that were cut are closed. So are the others once their clients go.
  await waitUntil(() => bodies.filter(({ isClosed }) => isClosed()).length >= 22, { what: 'connections are closed' });
  for (const { socket } of bodies) socket.destroy();
  await waitUntil(() => transfers.held('received') === 0, { what: 'nothing is held' });
});

test('answers that nobody reads are cut, and nothing of them stays', async () => {
  const { service, transfers, cuts } = await start();
  const id = await createConversation(service, [], { protocol: 'opaque' });
  const body = { id: 'large', ciphertext: base64(Buffer.alloc(300 * KB)) };
  for (let i = 0; i < 10; i++) {
    await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'alice', body: { ...body, id: `m${i}` } });
  }
  const readers: Client[] = [];
  const head = [`GET /v1/conversations/${id}/messages HTTP/1.1`];
  for (let i = 0; i < 6; i++) {
    const reader = await open(service, 'alice', head);
    reader.socket.pause();
    // The operating system takes one or two answers.
    for (let more = 0; more < 4; more++) {
      reader.socket.write(
        [...head, 'host: parley', `authorization: Bearer ${await tokenOf('alice')}`, '', ''].join('\r\n'),
      );
    }
    readers.push(reader);
  }
  // One answer may be larger than the share. All others give way to the newest.
  await waitUntil(() => cuts.length >= 5, { what: 'answers are cut' });
  expect(new Set(cuts)).toEqual(new Set(['sent share']));
  for (const { socket } of readers) socket.destroy();
  await waitUntil(() => transfers.held('sent') === 0, { what: 'nothing is held' });
});

test('a large answer arrives whole, also at a reader that pauses', async () => {
  const { service, transfers } = await start();
  const id = await createConversation(service, [], { protocol: 'opaque' });
  const ciphertext = base64(Buffer.alloc(200 * KB, 'abc'));
  for (let i = 1; i <= 5; i++) {
    await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'alice', body: { id: `m${i}`, ciphertext } });
  }
  const reader = await open(service, 'alice', [`GET /v1/conversations/${id}/messages HTTP/1.1`, 'connection: close']);
  reader.socket.pause();
  await waitUntil(() => service.observed.length > 0, { what: 'messages were sent' });
  reader.socket.resume();
  await waitUntil(reader.isClosed, { what: 'the answer is complete' });
  const [head = '', text = ''] = reader.answer().split('\r\n\r\n');
  expect(Number(/content-length: (\d+)/i.exec(head)?.[1])).toBe(Buffer.byteLength(text));
  const { entries } = JSON.parse(text) as { entries: { ciphertext: string }[] };
  expect(entries).toHaveLength(5);
  expect(entries.every((entry) => entry.ciphertext === ciphertext)).toBe(true);
  await waitUntil(() => transfers.held('sent') === 0, { what: 'nothing is held' });
});

test('requests that wait behind another on a connection that closes are over, too', async () => {
  const { service, transfers } = await start();
  const before = service.observed.length;
  const reader = await open(service, 'alice', [
    'POST /v1/conversations HTTP/1.1',
    'content-length: 1000',
    'content-type: application/json',
  ]);
  reader.socket.write(Buffer.alloc(1000, 0x20));
  const id = await createConversation(service, [], { protocol: 'opaque' });
  for (let i = 0; i < 20; i++) {
    reader.socket.write(
      [
        `GET /v1/conversations/${id} HTTP/1.1`,
        'host: parley',
        `authorization: Bearer ${await tokenOf('alice')}`,
        '',
        '',
      ].join('\r\n'),
    );
  }
  reader.socket.destroy();
  await waitUntil(() => service.observed.length > before + 1, { what: 'requests were noted' });
  await waitUntil(() => transfers.held('sent') + transfers.held('received') === 0, { what: 'nothing is held' });
});

test('a body whose client goes away, and one that is refused, are no longer held', async () => {
  const { service, transfers } = await start();
  const { socket } = await upload(service, 'alice', 1000 * KB);
  socket.write(Buffer.alloc(100 * KB, 0x20));
  await waitUntil(() => transfers.held('received') === 100 * KB, { what: 'the bytes are there' });
  socket.destroy();
  await waitUntil(() => transfers.held('received') === 0, { what: 'nothing is held' });
  expect((await service.ask('POST /v1/conversations', { user: 'alice', raw: ' '.repeat(200 * KB) })).status).toBe(400);
  await waitUntil(() => transfers.held('received') === 0, { what: 'nothing is held' });
});
