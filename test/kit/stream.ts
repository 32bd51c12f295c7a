import type { EventSourceMessage } from 'eventsource-parser';
import { createParser } from 'eventsource-parser';
import type { Http } from './http.ts';
import { pause } from './http.ts';
import { ProblemError } from './problem.ts';
import type { Entry } from './types.ts';

/** What happens in a conversation; `removed` and `reset` are the last event of their stream. */
export type StreamEvent =
  | { readonly type: 'entry'; readonly entry: Entry }
  | { readonly type: 'removed'; readonly seq: number }
  | { readonly type: 'history-truncated'; readonly oldestSeq: number }
  | { readonly type: 'reset'; readonly successor: string };

export interface FollowOptions {
  /** Start behind this entry. @default the first entry one may read */
  readonly after?: number;
  readonly signal?: AbortSignal;
  /** Silence after which a connection counts as dead: the service sends heartbeats. @default 60000 */
  readonly idleTimeoutMs?: number;
  /** Told why, whenever the stream has to connect again. */
  readonly onReconnect?: (reason: string) => void;
}

/**
 * The live log of a conversation, gap-free and in order: whenever the connection ends it goes on after the last entry it
 * gave. Ends when the signal aborts or one is removed; throws a {@link ProblemError} that no retry would mend.
 */
export async function* follow(
  http: Http,
  conversation: string,
  options: FollowOptions = {},
): AsyncGenerator<StreamEvent, void, void> {
  const { signal, onReconnect, idleTimeoutMs = 60_000 } = options;
  const path = `/v1/conversations/${encodeURIComponent(conversation)}/events`;
  let after = options.after;
  const isAborted = (): boolean => signal?.aborted === true;
  for (let failures = 0; !isAborted();) {
    let reason = 'the connection ended';
    let failure: unknown;
    try {
      for await (const message of readEvents(http, path, after, idleTimeoutMs, signal)) {
        failures = 0;
        if (message.event === 'reconnect' || message.event === 'slow-consumer') {
          reason = message.event;
          break;
        }
        const event = toEvent(message);
        if (event?.type === 'entry') {
          if (after !== undefined && event.entry.seq <= after) continue;
          after = event.entry.seq;
        }
        if (event !== undefined) yield event;
        if (event?.type === 'removed' || event?.type === 'reset') return;
      }
    } catch (error) {
      if (error instanceof ProblemError && !error.isRetryable) throw error;
      failure = error;
      reason = error instanceof Error ? error.message : String(error);
    }
    if (isAborted()) return;
    onReconnect?.(reason);
    failures++;
    await pause(failures, failure, signal).catch(() => undefined);
  }
}

function toEvent({ event, data }: EventSourceMessage): StreamEvent | undefined {
  const body = data === '' ? {} : (JSON.parse(data) as unknown);
  switch (event) {
    case 'entry':
      return { type: event, entry: body as Entry };
    case 'removed':
      return { type: event, seq: (body as { seq: number }).seq };
    case 'history-truncated':
      return { type: event, oldestSeq: (body as { oldestSeq: number }).oldestSeq };
    case 'reset':
      return { type: event, successor: (body as { successor: string }).successor };
    default:
      return undefined; // a newer service may tell more
  }
}

/** Events of one connection. */
async function* readEvents(
  http: Http,
  path: string,
  after: number | undefined,
  idleTimeoutMs: number,
  signal?: AbortSignal,
): AsyncGenerator<EventSourceMessage, void, void> {
  const connection = new AbortController();
  const idle = setTimeout(() => connection.abort(new Error('no heartbeat')), idleTimeoutMs);
  const signals = signal === undefined ? connection.signal : AbortSignal.any([connection.signal, signal]);
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  const decoder = new TextDecoder();
  try {
    const headers = { accept: 'text/event-stream' };
    const response = await http.open('GET', path, { query: { after }, headers, signal: signals });
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      idle.refresh();
      parser.feed(decoder.decode(chunk, { stream: true }));
      yield* events.splice(0);
    }
  } finally {
    clearTimeout(idle);
    connection.abort(); // whoever stops reading closes the connection
  }
}
