import { once } from 'node:events';
import { type IncomingMessage, createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { AppError } from '../../../domain/errors.ts';
import type { LifeEvent, LifeOperation } from '../../../domain/life-event.ts';
import { MAX_LIFE_STREAMS, MAX_LIFE_STREAMS_PER_OPERATOR } from '../../../domain/limits.ts';
import { type LifeStreams, makeLifeStreams } from '../../../streams/life/life-streams.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useCleanup } from '../../harness/cleanup.ts';

const later = useCleanup();

interface Reader {
  readonly text: () => string;
  readonly isEnded: () => boolean;
  readonly pause: () => void;
  readonly close: () => void;
}

interface Setup {
  /** What each look brings. */
  readonly look?: () => Promise<readonly LifeEvent[]>;
  readonly slowMs?: number;
}

/** Streams on a server whose path is the conversation, and whose query is the operator. */
async function serve({ look = () => Promise.resolve([]), slowMs = 5000 }: Setup = {}) {
  const watched = new Set<string>();
  const listeners = new Map<string, (operation: LifeOperation) => void>();
  const closed: string[] = [];
  let looks = 0;
  let now = 0;
  const life: LifeStreams = makeLifeStreams({
    admit: (conversation) => Promise.resolve(conversation !== 'none'),
    sourcesOf: () => [{ part: 'postgres', look: () => (looks++, look()), everyMs: 20, pauseMs: 1 }],
    watchOperations: (conversation, listener) => {
      watched.add(conversation);
      listeners.set(conversation, listener);
      return () => void watched.delete(conversation);
    },
    clock: { now: () => now },
    slowMs,
    onClosed: (reason) => closed.push(reason),
    onError: () => undefined,
  });
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url ?? '', 'http://x');
    const target = {
      conversation: pathname.slice(1),
      operator: search.slice(1),
      expiresAt: 1000,
      isCutOff: () => false,
    };
    life.open(response, target).catch((error: unknown) => {
      response.writeHead(error instanceof AppError ? error.status : 500).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  later('server', () => {
    life.close();
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const open = async (conversation: string, operator = 'op'): Promise<Reader & { readonly status: number }> => {
    const request = get(`http://127.0.0.1:${port}/${conversation}?${operator}`, { agent: false });
    request.on('error', () => undefined);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    let text = '';
    let isEnded = false;
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    response.on('close', () => (isEnded = true)).on('error', () => undefined);
    return {
      status: response.statusCode ?? 0,
      text: () => text,
      isEnded: () => isEnded,
      pause: () => void response.pause(),
      close: () => void request.destroy(),
    };
  };
  const expire = (): void => void (now = 2000);
  const tell = (conversation: string, operation: LifeOperation): void => listeners.get(conversation)?.(operation);
  return { life, open, watched, closed, looks: () => looks, expire, tell };
}

const operation = (name: string): LifeOperation => ({
  type: 'operation',
  at: 1,
  operation: name,
  kind: 'message',
  outcome: 'accepted',
  ms: 1,
});

test('streams of one conversation share one feed; when the last one closes, nothing is left of it', async () => {
  const { life, open, watched, looks, closed } = await serve();
  const [one, two] = [await open('c'), await open('c')];
  const other = await open('d');
  expect([life.count(), life.feeds(), [...watched]]).toEqual([3, 2, ['c', 'd']]);
  one.close();
  await waitUntil(() => life.count() === 2, { what: 'the first stream is closed' });
  expect([...watched]).toEqual(['c', 'd']);
  two.close();
  other.close();
  await waitUntil(() => life.count() === 0, { what: 'all streams are closed' });
  expect([life.feeds(), watched.size, closed]).toEqual([0, 0, ['client', 'client', 'client']]);
  // It does not look any more: a new stream is the first to look again.
  const before = looks();
  await open('e');
  await waitUntil(() => looks() > before, { what: 'the next feed looks' });
});

test('an operator, and the process, have a limit; a stream that could not be opened does not count', async () => {
  const { open, life } = await serve();
  for (let i = 0; i < MAX_LIFE_STREAMS_PER_OPERATOR; i++) expect((await open('none')).status).toBe(404);
  const own = [];
  for (let i = 0; i < MAX_LIFE_STREAMS_PER_OPERATOR; i++) own.push(await open(`c${i}`));
  expect((await open('more')).status).toBe(429);
  own[0]?.close();
  await waitUntil(() => life.count() < MAX_LIFE_STREAMS_PER_OPERATOR, { what: 'there is room again' });
  expect((await open('more')).status).toBe(200);
  for (let i = life.count(); i < MAX_LIFE_STREAMS; i++) expect((await open('c', `op${i}`)).status).toBe(200);
  expect((await open('c', 'another')).status).toBe(429);
});

test('who opens later gets the newest events at once, and a trouble that lasts', async () => {
  let isAway = false;
  const { open, tell, looks } = await serve({
    look: () => (isAway ? Promise.reject(new AppError('deadline')) : Promise.resolve([])),
  });
  const first = await open('c');
  for (let i = 0; i < 60; i++) tell('c', operation(`m${i}`));
  await waitUntil(() => first.text().includes('"operation":"m59"'), { what: 'the operations are told' });
  isAway = true;
  await waitUntil(() => first.text().includes('event: trouble'), { what: 'the trouble is told' });
  const before = looks();
  await waitUntil(() => looks() > before + 3, { what: 'it is looked again some times' });
  expect(first.text().split('event: trouble')).toHaveLength(2);
  const second = await open('c');
  await waitUntil(() => second.text().includes('"operation":"m59"'), { what: 'the newest operations are told' });
  expect(second.text()).toContain('"part":"postgres","code":"deadline"');
  expect(second.text()).not.toContain('"operation":"m9"');
  expect(second.text().split('event: operation')).toHaveLength(51);
  isAway = false;
  await waitUntil(() => second.text().includes('event: recovered'), { what: 'the recovery is told' });
  const third = await open('c');
  await waitUntil(() => third.text().includes('"m59"'), { what: 'the third gets the newest' });
  expect(third.text()).not.toContain('event: trouble');
});

test('a source that answers nothing at all is in trouble too', async () => {
  const { open } = await serve({ look: () => new Promise(() => undefined) });
  const reader = await open('c');
  await waitUntil(() => reader.text().includes('"code":"unavailable"'), { what: 'the trouble is told' });
});

test('of thousands of operations the first and the newest are told', async () => {
  const { open, tell } = await serve();
  const reader = await open('c');
  for (let i = 0; i < 5000; i++) tell('c', operation(`m${i}`));
  await waitUntil(() => reader.text().includes('"operation":"m4999"'), { what: 'the newest is told' });
  tell('c', operation('later'));
  await waitUntil(() => reader.text().includes('"operation":"later"'), { what: 'what comes later is told' });
  const told = [...reader.text().matchAll(/"operation":"(\w+)"/g)].map(([, name]) => name);
  expect(told).toEqual(['m0', ...Array.from({ length: 50 }, (_, i) => `m${4950 + i}`), 'later']);
});

test('when the conversation is gone its streams end, so that their readers come back and are told so', async () => {
  let isGone = false;
  const { open, life, closed } = await serve({
    look: () => (isGone ? Promise.reject(new AppError('not-found')) : Promise.resolve([])),
  });
  const [one, two] = [await open('c'), await open('c')];
  isGone = true;
  await waitUntil(() => one.isEnded() && two.isEnded(), { what: 'both streams end' });
  expect(one.text()).toContain('event: reconnect\n');
  expect(one.text() + two.text()).not.toContain('event: trouble');
  expect([life.count(), life.feeds(), closed]).toEqual([0, 0, ['reconnect', 'reconnect']]);
});

test('a reader that takes nothing is ended, and holds no more than a limit', async () => {
  const { open, tell, life, closed } = await serve({ slowMs: 60_000 });
  const reader = await open('c');
  await waitUntil(() => reader.text() !== '', { what: 'the stream begins' });
  reader.pause();
  const large = operation('x'.repeat(200_000));
  await waitUntil(
    () => {
      tell('c', large);
      return life.count() === 0;
    },
    { what: 'the stream ends' },
  );
  expect(closed).toEqual(['slow-consumer']);
});

test('streams end with their token, and with the process, which opens no more', async () => {
  const { open, expire, life } = await serve();
  const reader = await open('c');
  expire();
  await waitUntil(reader.isEnded, { what: 'the stream ends with its token' });
  expect(reader.text()).toContain('event: reconnect\n');
  const { open: openThere, life: other } = await serve();
  const last = await openThere('c');
  other.close();
  await waitUntil(last.isEnded, { what: 'the stream ends with the process' });
  expect(last.text()).toContain('event: reconnect\n');
  expect((await openThere('c')).status).toBe(503);
  expect([life.count(), other.count()]).toEqual([0, 0]);
});
