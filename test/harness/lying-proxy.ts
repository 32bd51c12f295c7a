import { hash } from 'node:crypto';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Entry } from '../../client/index.ts';
import { chainAfter } from '../../store/log/chain.ts';

/** What the proxy makes of the log. It shows the entries in this order, whatever their `seq` and `chain` were. */
export type Tamper = (entries: readonly Entry[]) => readonly Entry[];

/** A service that shows another log to one of its users than to the others. */
export interface LyingProxy {
  readonly url: string;
  /** How the log of each conversation is shown from now on. */
  tamper: Tamper;
  /** Numbers the entries anew and computes the chain anew, so that the log that is shown fits in itself. @default true */
  isConsistent: boolean;
  /** Keeps the messages that are sent, and shows them only to their sender. @default false */
  keepsMessages: boolean;
  readonly close: () => Promise<void>;
}

const PAGE = /^\/v1\/conversations\/([^/]+)\/messages$/;

/** Starts a proxy between one device and a service. */
export async function startLyingProxy(target: () => string): Promise<LyingProxy> {
  /** Own messages that the service never got, by the newest entry that the log had when they were sent. */
  const kept: { readonly in: string; readonly after: number; readonly entry: Entry }[] = [];

  const shownLog = async (id: string, request: IncomingMessage): Promise<Entry[]> => {
    const entries: Entry[] = [];
    for (let after: string | number | undefined = 0; after !== undefined;) {
      const answer = await forward(request, `/v1/conversations/${id}/messages?limit=1000&after=${after}`);
      const page = (await answer.json()) as { entries: Entry[]; next?: string | number };
      entries.push(...page.entries);
      after = page.next;
    }
    const own = (seq: number): Entry[] =>
      kept.filter((one) => one.in === id && one.after === seq).map(({ entry }) => entry);
    const shown = proxy.tamper(entries.flatMap((entry) => [entry, ...own(entry.seq)]));
    return proxy.isConsistent ? consistent(shown) : [...shown];
  };
  const forward = async (request: IncomingMessage, path: string, body?: string): Promise<Response> => {
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers)) {
      if (typeof value === 'string' && !['host', 'connection', 'content-length'].includes(name))
        headers.set(name, value);
    }
    const isRead = body === undefined;
    return fetch(new URL(path, target()), {
      method: isRead ? 'GET' : (request.method ?? 'POST'),
      headers,
      ...(isRead ? {} : { body }),
    });
  };

  const showPage = async (id: string, url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const log = await shownLog(id, request);
    const after = Number.parseInt(url.searchParams.get('after') ?? '0', 10);
    const entries = log.filter(({ seq }) => seq > after);
    send(response, { entries, lastSeq: log.at(-1)?.seq ?? 0 });
  };
  const keep = async (id: string, body: string, request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { id: messageId, ciphertext } = JSON.parse(body) as { id: string; ciphertext: string };
    const answer = await forward(request, `/v1/conversations/${id}/messages?limit=1000`);
    const last = ((await answer.json()) as { entries: Entry[] }).entries.at(-1);
    if (last === undefined) throw new Error('an empty log');
    const entry: Entry = {
      seq: 0,
      kind: 'application',
      id: messageId,
      epoch: epochAfter(last),
      ciphertext,
      at: last.at ?? '',
    };
    kept.push({ in: id, after: last.seq, entry });
    const seq = (await shownLog(id, request)).find((one) => one.id === messageId)?.seq;
    send(response, { results: [{ id: messageId, seq, epoch: entry.epoch, status: 'accepted' }] });
  };
  const answerTo = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://proxy');
    const id = PAGE.exec(url.pathname)?.[1];
    if (request.method === 'GET' && id !== undefined) return showPage(id, url, request, response);
    const body = request.method === 'GET' ? undefined : withoutPosition(await textOf(request));
    // Its positions are those of the shown log.
    if (url.pathname === '/v1/ack') {
      send(response, { positions: {}, restarted: {} });
      return;
    }
    if (id !== undefined && body !== undefined && proxy.keepsMessages) return keep(id, body, request, response);
    const answer = await forward(request, request.url ?? '/', body);
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'application/json' });
    response.end(Buffer.from(await answer.arrayBuffer()));
  };

  const server = createServer((request, response) => {
    answerTo(request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: LyingProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tamper: (entries) => entries,
    isConsistent: true,
    keepsMessages: false,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return proxy;
}

/** The entries with the numbers and values that they had if this were the whole log. The first one stays as it is. */
function consistent(entries: readonly Entry[]): Entry[] {
  const shown: Entry[] = [];
  for (const entry of entries) {
    const before = shown.at(-1);
    if (before === undefined) {
      shown.push(entry);
      continue;
    }
    const { kind, epoch, ciphertext = '' } = entry;
    const seq = before.seq + 1;
    const sha256 = hash('sha256', Buffer.from(ciphertext, 'base64'), 'buffer');
    const chain = chainAfter(Buffer.from(before.chain ?? '', 'base64'), { seq, kind, epoch, sha256 });
    shown.push({ ...entry, seq, chain: chain.toString('base64') });
  }
  return shown;
}

/** The service must not compare the position of its victim: it is one of the shown log. */
function withoutPosition(body: string): string {
  if (!body.startsWith('{')) return body;
  const { position: _shown, ...rest } = JSON.parse(body) as Record<string, unknown>;
  return JSON.stringify(rest);
}

/** Epoch after an entry. */
function epochAfter({ kind, epoch }: Entry): number {
  return kind === 'commit' ? epoch + 1 : epoch;
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function send(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
