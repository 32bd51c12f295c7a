import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { followAll } from '../../../client/api/account-stream.ts';
import { createHttp } from '../../../client/api/http.ts';
import type { Http } from '../../../client/api/http.ts';
import { isRefusal, ProblemError } from '../../../client/api/problem.ts';
import type { StreamEvent } from '../../../client/api/conversation-stream.ts';
import { follow } from '../../../client/api/conversation-stream.ts';

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** Answers of the service, one for each request. */
const answers: Answer[] = [];
const requests: {
  url: string;
  body: string;
  key: string | undefined;
  authorization: string | undefined;
  device?: string;
}[] = [];
const server = createServer((request, response) => {
  void text(request).then((body) => {
    const { authorization, 'idempotency-key': key, 'parley-device': device } = request.headers;
    const named = device === undefined ? {} : { device: device.toString() };
    requests.push({ url: request.url ?? '', body, key: key?.toString(), authorization, ...named });
    answers.shift()?.(response, request);
  });
});
let http: Http;
let tokens = 0;

beforeEach(async () => {
  answers.length = requests.length = tokens = 0;
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  http = createHttp({ baseUrl: `http://127.0.0.1:${port}`, token: () => `token-${++tokens}`, timeoutMs: 500 });
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response
      .writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json', ...headers })
      .end(JSON.stringify(body));
const busy = (code: string): Answer => json(code === 'rate-limited' ? 429 : 503, { code }, { 'retry-after': '0' });

describe('createHttp', () => {
  test('repeats 503, 429, broken connections and timeouts with the same bytes and key, and a new token', async () => {
    const dropped: Answer = (_response, request) => void request.socket.destroy();
    const silent: Answer = () => undefined;
    answers.push(busy('overloaded'), busy('rate-limited'), dropped, silent, json(200, { seq: 7 }));
    const body = { id: 'm1', ciphertext: 'AA==' };
    expect(await http.json('POST', '/v1/x', { body, idempotencyKey: 'k1' })).toEqual({ seq: 7 });
    expect(requests).toHaveLength(5);
    for (const [i, request] of requests.entries()) {
      const authorization = `Bearer token-${i + 1}`;
      expect(request).toEqual({ url: '/v1/x', body: JSON.stringify(body), key: 'k1', authorization });
    }
  });

  test('names its device in every request, if the app says so', async () => {
    const { port } = server.address() as AddressInfo;
    const named = createHttp({ baseUrl: `http://127.0.0.1:${port}`, token: () => 't', device: 'Büro 1' });
    answers.push(json(200, {}), json(200, {}));
    await named.json('GET', '/v1/devices');
    await named.open('GET', '/v1/events');
    expect(requests.map(({ device }) => device)).toEqual(['B%C3%BCro%201', 'B%C3%BCro%201']);
  });

  test('gives a problem with code, details and request id, and does not repeat it', async () => {
    const details = { currentEpoch: 3, submittedEpoch: 2, winner: { seq: 9, sha256: 'ab' }, after: 4 };
    const problem = { type: 'about:blank', title: 'Lost', status: 409, code: 'epoch-conflict', ...details };
    answers.push(json(409, problem, { 'x-request-id': 'r1' }));
    const error = await http.json('POST', '/v1/x', { body: {} }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ProblemError);
    expect(error).toMatchObject({ status: 409, code: 'epoch-conflict', details, requestId: 'r1' });
    expect((error as Error).message).toBe('409 epoch-conflict: Lost');
    expect(requests).toHaveLength(1);
  });

  test('does not repeat a 429 without Retry-After: it does not pass by waiting', async () => {
    answers.push(json(429, { code: 'rate-limited' }));
    await expect(http.json('POST', '/v1/x', { body: {} })).rejects.toMatchObject({ status: 429, isRetryable: false });
    expect(requests).toHaveLength(1);
  });

  test.each([502, 504])('repeats a %s, with which a proxy says that the service broke off', async (status) => {
    answers.push(json(status, {}), json(200, { fine: true }));
    await expect(http.json('POST', '/v1/x', { body: {} })).resolves.toEqual({ fine: true });
    expect(requests).toHaveLength(2);
  });

  test.each([
    ['the service says no', json(403, { code: 'removed' }), true],
    ['the service fails', json(500, { code: 'internal' }), false],
    [
      'a proxy answers with JSON of its own',
      json(403, { code: 'removed' }, { 'content-type': 'application/json' }),
      false,
    ],
    ['a proxy answers with a page', json(404, {}, { 'content-type': 'text/html' }), false],
    ['a proxy limits the rate', json(429, {}, { 'content-type': 'text/html' }), false],
  ])('takes it for a refusal only if the service says no: %s', async (_what, answer, expected) => {
    answers.push(answer);
    const error = await http.json('POST', '/v1/x', { body: {} }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ProblemError);
    expect(isRefusal(error)).toBe(expected);
  });

  test('waits no longer than a minute, whatever a server asks for', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      // More than 2^31 ms, with which a timer would end at once.
      answers.push(json(503, { code: 'unavailable' }, { 'retry-after': '3000000' }), json(200, { fine: true }));
      const answer = http.json('GET', '/v1/x');
      await vi.waitUntil(() => requests.length === 1 && vi.getTimerCount() > 0, { interval: 5, timeout: 30_000 });
      await vi.advanceTimersByTimeAsync(59_999);
      expect(requests).toHaveLength(1);
      await vi.advanceTimersByTimeAsync(1);
      expect(await answer).toEqual({ fine: true });
    } finally {
      vi.useRealTimers();
    }
  });

  test('gives up after its attempts', async () => {
    for (let i = 0; i < 6; i++) answers.push(busy('unavailable'));
    await expect(http.json('GET', '/v1/x')).rejects.toMatchObject({ status: 503, code: 'unavailable' });
    expect(requests).toHaveLength(6);
  });
});

describe('follow', () => {
  const stream =
    (...events: string[]): Answer =>
    (response) =>
      void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(events.join(''));
  const entry = (seq: number): string => `id: ${seq}\nevent: entry\ndata: ${JSON.stringify({ seq })}\n\n`;
  const other = (event: string, data: unknown): string => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

  async function collect(events: AsyncIterable<StreamEvent>): Promise<unknown[]> {
    const seen: unknown[] = [];
    for await (const event of events) seen.push(event.type === 'entry' ? event.entry.seq : event);
    return seen;
  }

  test('continues after the last entry when the connection ends, until the user is removed', async () => {
    const reasons: string[] = [];
    answers.push(stream(': heartbeat\n\n', entry(4), entry(5), entry(6).slice(0, 12)));
    answers.push(busy('unavailable'), stream(entry(5), entry(6), other('reconnect', {}), entry(99)));
    answers.push(
      stream(entry(7), other('slow-consumer', {})),
      stream(entry(8), other('removed', { seq: 8 }), entry(9)),
    );
    const seen = await collect(follow(http, 'c', { after: 3, onReconnect: (reason) => reasons.push(reason) }));
    expect(seen).toEqual([4, 5, 6, 7, 8, { type: 'removed', seq: 8 }]);
    const afters = requests.map(({ url }) => new URL(url, 'http://x').searchParams.get('after'));
    expect(afters).toEqual(['3', '5', '5', '6', '7']);
    expect(reasons.map((reason) => reason.split(':')[0])).toEqual([
      'the connection ended',
      '503 unavailable',
      'reconnect',
      'slow-consumer',
    ]);
  });

  test('tries again after a fault of the service, and ends with an answer that stays', async () => {
    answers.push(json(500, { code: 'internal' }), stream(entry(1)), json(404, { code: 'not-found' }));
    const seen: unknown[] = [];
    const ended = (async () => {
      for await (const event of follow(http, 'c')) seen.push(event);
    })();
    await expect(ended).rejects.toMatchObject({ code: 'not-found' });
    expect(seen).toMatchObject([{ type: 'entry', entry: { seq: 1 } }]);
  });

  test('waits as the service asks in `retry:`, also when the connection just ends', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const asked = `retry: 54321\n\n`;
      answers.push(stream(asked, other('reconnect', {})), stream(asked), stream(other('removed', { seq: 1 })));
      const seen = collect(follow(http, 'c', { onReconnect: () => void waits.push(requests.length) }));
      const waits: number[] = [];
      for (const count of [1, 2]) {
        await vi.waitUntil(() => waits.length === count && vi.getTimerCount() > 0, { interval: 5, timeout: 30_000 });
        await vi.advanceTimersByTimeAsync(54_320);
        expect(requests).toHaveLength(count);
        await vi.advanceTimersByTimeAsync(1);
      }
      expect(await seen).toEqual([{ type: 'removed', seq: 1 }]);
      expect(waits).toEqual([1, 2]);
    } finally {
      vi.useRealTimers();
    }
  });

  test('connects again when the heartbeat stops', async () => {
    answers.push((response) => void response.writeHead(200).write(entry(1)));
    answers.push(stream(entry(2), other('removed', { seq: 2 })));
    const seen = await collect(follow(http, 'c', { idleTimeoutMs: 50 }));
    expect(seen).toEqual([1, 2, { type: 'removed', seq: 2 }]);
  });

  test('ends at once when its signal aborts', async () => {
    answers.push((response) => void response.writeHead(200).write(entry(1)));
    const stop = new AbortController();
    const seen: StreamEvent[] = [];
    for await (const event of follow(http, 'c', { signal: stop.signal })) {
      seen.push(event);
      stop.abort();
    }
    expect(seen).toHaveLength(1);
  });

  test('throws an error that a retry cannot repair', async () => {
    answers.push(json(404, { code: 'not-found', title: 'Not found' }));
    await expect(collect(follow(http, 'c'))).rejects.toThrow('404 not-found: Not found');
  });

  test('starts with the next new entry, and a new connection continues after it', async () => {
    answers.push(stream(entry(7)), stream(entry(7), entry(8), other('reset', { successor: 'd' })));
    const seen = await collect(follow(http, 'c', { after: 'latest' }));
    expect(seen).toEqual([7, 8, { type: 'reset', successor: 'd' }]);
    expect(requests.map(({ url }) => new URL(url, 'http://x').searchParams.get('after'))).toEqual(['latest', '7']);
  });

  test('says that retention deleted the next entries', async () => {
    answers.push(stream(other('history-truncated', { oldestSeq: 40 }), entry(40), other('removed', { seq: 40 })));
    const seen = await collect(follow(http, 'c', { after: 3 }));
    expect(seen).toEqual([{ type: 'history-truncated', oldestSeq: 40 }, 40, { type: 'removed', seq: 40 }]);
  });
});

describe('followAll', () => {
  const stream =
    (...events: [string, unknown][]): Answer =>
    (response) => {
      const texts = events.map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(texts.join(''));
    };
  const entry = (conversation: string, seq: number): [string, unknown] => ['entry', { conversation, entry: { seq } }];

  test('yields no entry twice, even if a new connection repeats entries, until another stream replaces it', async () => {
    const joined: [string, unknown] = ['member', { conversation: 'b', seq: 1, user: 'bob', change: 'added' }];
    answers.push(stream(entry('a', 4), joined, entry('b', 1), ['welcome', { conversation: 'b', seq: 1 }]));
    answers.push(stream(entry('a', 4), entry('b', 1), entry('b', 2), ['low-stock', { available: 3 }]));
    answers.push(stream(['something-new', {}], entry('a', 5), ['replaced', {}], entry('a', 6)));
    const seen: unknown[] = [];
    for await (const event of followAll(http)) {
      seen.push(event.type === 'entry' ? `${event.conversation}${event.entry.seq}` : event.type);
    }
    expect(seen).toEqual(['a4', 'member', 'b1', 'welcome', 'b2', 'low-stock', 'a5']);
    expect(requests.map(({ url }) => url)).toEqual(['/v1/events', '/v1/events', '/v1/events']);
  });
});
