import type { EventSourceMessage } from 'eventsource-parser';
import { createParser } from 'eventsource-parser';
import type { Http, RequestOptions } from './http.ts';
import { pause } from './http.ts';
import { ProblemError } from './problem.ts';

export interface LiveOptions {
  readonly signal?: AbortSignal | undefined;
  /** Silence after which a connection counts as dead: the service sends heartbeats. @default 60000 */
  readonly idleTimeoutMs?: number;
  /** Told why, whenever the stream has to connect again. */
  readonly onReconnect?: (reason: string) => void;
}

const IDLE_TIMEOUT_MS = 60_000;
/** The service asks to connect again; nothing is wrong with the stream. */
const ASKS_TO_RECONNECT: readonly (string | undefined)[] = ['reconnect', 'slow-consumer'];

/**
 * Server-sent events of one path, over as many connections as it takes. Ends when the signal aborts; throws a
 * {@link ProblemError} that no retry would mend.
 * @param query asked before each connection: from where to go on
 */
export async function* liveEvents(
  http: Http,
  path: string,
  query: () => RequestOptions['query'],
  { signal, idleTimeoutMs = IDLE_TIMEOUT_MS, onReconnect }: LiveOptions,
): AsyncGenerator<EventSourceMessage, void, void> {
  const isAborted = (): boolean => signal?.aborted === true;
  for (let failures = 0; !isAborted();) {
    let reason = 'the connection ended';
    let failure: unknown;
    try {
      for await (const message of readEvents(http, path, { query: query() ?? {}, signal }, idleTimeoutMs)) {
        failures = 0;
        if (ASKS_TO_RECONNECT.includes(message.event)) {
          reason = message.event ?? reason;
          break;
        }
        yield message;
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

/** The JSON of an event. */
export function dataOf({ data }: EventSourceMessage): unknown {
  return data === '' ? {} : (JSON.parse(data) as unknown);
}

/** Events of one connection. */
async function* readEvents(
  http: Http,
  path: string,
  { query, signal }: RequestOptions,
  idleTimeoutMs: number,
): AsyncGenerator<EventSourceMessage, void, void> {
  const connection = new AbortController();
  const idle = setTimeout(() => connection.abort(new Error('no heartbeat')), idleTimeoutMs);
  const signals = signal === undefined ? connection.signal : AbortSignal.any([connection.signal, signal]);
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  const decoder = new TextDecoder();
  try {
    const headers = { accept: 'text/event-stream' };
    const response = await http.open('GET', path, {
      ...(query === undefined ? {} : { query }),
      headers,
      signal: signals,
    });
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
