import { type IncomingMessage, get } from 'node:http';
import { type EventSourceMessage, createParser } from 'eventsource-parser';
import type { Entry } from '../../client/index.ts';
import { type StreamKind, checkEvent } from './event-contract.ts';

/** One connection to an event stream, with everything that came over it. It never reconnects. */
export interface EventStream {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly events: readonly EventSourceMessage[];
  /** The newest `retry:`, in milliseconds. */
  readonly retryMs: () => number | undefined;
  /** Comments, which is what heartbeats are. */
  readonly comments: () => number;
  /** Body of an answer that is no stream. */
  readonly text: () => string;
  /** `performance.now()` of the end; `undefined` while it is open. */
  readonly endedAt: () => number | undefined;
  readonly close: () => void;
}

/** Opens the stream of a conversation and waits for its first byte. */
export function openEventStream(
  url: string,
  conversation: string,
  token: string,
  from: { readonly after?: number | string; readonly lastEventId?: number | string } = {},
): Promise<EventStream> {
  const target = new URL(`/v1/conversations/${conversation}/events`, url);
  if (from.after !== undefined) target.searchParams.set('after', String(from.after));
  return openStream(target, token, from.lastEventId === undefined ? {} : { 'last-event-id': String(from.lastEventId) });
}

/** Opens the stream of all conversations of a device and waits for its first byte. */
export function openAccountStream(url: string, token: string): Promise<EventStream> {
  return openStream(new URL('/v1/events', url), token, {});
}

/** Opens the stream of facts about a conversation. */
export function openLifeStream(url: string, conversation: string, token: string): Promise<EventStream> {
  return openStream(new URL(`/v1/admin/conversations/${conversation}/life`, url), token, {});
}

/** Opens a stream with a ticket, as EventSource does. @param path with or without a query */
export function openWithTicket(url: string, path: string, ticket: string, lastEventId?: number): Promise<EventStream> {
  const target = new URL(path, url);
  target.searchParams.set('ticket', ticket);
  return openTarget(target, lastEventId === undefined ? {} : { 'last-event-id': String(lastEventId) });
}

function openStream(target: URL, token: string, more: Readonly<Record<string, string>>): Promise<EventStream> {
  return openTarget(target, { authorization: `Bearer ${token}`, ...more });
}

function openTarget(target: URL, more: Readonly<Record<string, string>>): Promise<EventStream> {
  const headers = { accept: 'text/event-stream', ...more };
  return new Promise((resolve, reject) => {
    const events: EventSourceMessage[] = [];
    let comments = 0;
    let retryMs: number | undefined;
    let text = '';
    let endedAt: number | undefined;
    const kind = kindOf(target);
    const onEvent = (event: EventSourceMessage): void => {
      checkEvent(kind, event);
      events.push(event);
    };
    const parser = createParser({ onEvent, onComment: () => comments++, onRetry: (ms) => (retryMs = ms) });
    const request = get(target, { headers, agent: false }, (response) => {
      const isStream = response.headers['content-type']?.startsWith('text/event-stream') === true;
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (isStream) parser.feed(chunk);
        else text += chunk;
      });
      response.on('error', () => undefined);
      response.on('close', () => (endedAt = performance.now()));
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        events,
        comments: () => comments,
        retryMs: () => retryMs,
        text: () => text,
        endedAt: () => endedAt,
        close: () => request.destroy(),
      });
    });
    request.on('error', reject);
  });
}

function kindOf({ pathname }: URL): StreamKind {
  if (pathname === '/v1/events') return 'account';
  return pathname.endsWith('/life') ? 'life' : 'conversation';
}

/** The entries that a stream brought, in the order in which they came. */
export function entriesOf({ events }: Pick<EventStream, 'events'>): Entry[] {
  return events.filter(({ event }) => event === 'entry').map(({ data }) => JSON.parse(data) as Entry);
}

export function seqsOf(stream: Pick<EventStream, 'events'>): number[] {
  return entriesOf(stream).map(({ seq }) => seq);
}

/** The events that are no entries. */
export function signalsOf({ events }: Pick<EventStream, 'events'>): { event: string | undefined; data: unknown }[] {
  return events
    .filter(({ event }) => event !== 'entry')
    .map(({ event, data }) => ({ event, data: JSON.parse(data) as unknown }));
}
