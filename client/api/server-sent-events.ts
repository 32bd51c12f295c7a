import type { EventSourceMessage } from 'eventsource-parser';
import { createParser } from 'eventsource-parser';
import type { Http, RequestOptions } from './http.ts';
import { MAX_RETRY_MS, pause } from './http.ts';
import { sleep } from '../platform/sleep.ts';
import { ProblemError } from './problem.ts';

/** How a stream is read. */
export interface LiveOptions {
  readonly signal?: AbortSignal | undefined;
  /** A connection without any bytes for this time counts as dead: the service sends heartbeats. @default 60000 */
  readonly idleTimeoutMs?: number;
  /** Called with the reason each time before the stream connects again. */
  readonly onReconnect?: (reason: string) => void;
}

const IDLE_TIMEOUT_MS = 60_000;
/** The service asks the client to connect again; the stream itself is in order. */
const ASKS_TO_RECONNECT: readonly (string | undefined)[] = ['reconnect', 'slow-consumer'];

/**
 * Server-sent events of one path. The generator connects again as often as needed, and returns when the signal aborts.
 * @param query gives the query of the next connection: the position from which the service continues
 * @throws ProblemError if a retry cannot succeed
 */
export async function* liveEvents(
  http: Http,
  path: string,
  query: () => RequestOptions['query'],
  { signal, idleTimeoutMs = IDLE_TIMEOUT_MS, onReconnect }: LiveOptions,
): AsyncGenerator<EventSourceMessage, void, void> {
  const isAborted = (): boolean => signal?.aborted === true;
  /** What the service asked for in its last `retry:` line: it spreads its readers, so that not all come back at once. */
  let retryMs: number | undefined;
  let failures = 0;
  const onRetry = (ms: number): void => {
    retryMs = Math.min(ms, MAX_RETRY_MS);
    failures = 0;
  };
  while (!isAborted()) {
    let reason = 'the connection ended';
    let failure: unknown;
    try {
      for await (const message of readEvents(
        http,
        path,
        { query: query() ?? {}, signal },
        { idleTimeoutMs, onRetry },
      )) {
        failures = 0;
        if (ASKS_TO_RECONNECT.includes(message.event)) {
          reason = message.event ?? reason;
          break;
        }
        yield message;
      }
    } catch (error) {
      // Reading changes nothing: it may be tried again also after a fault of the service.
      if (error instanceof ProblemError && !error.isRetryable && error.status < 500) throw error;
      failure = error;
      reason = error instanceof Error ? error.message : String(error);
    }
    if (isAborted()) return;
    onReconnect?.(reason);
    failures++;
    // A stream that was open waits as the service asked. A connection that fails again and again waits longer and longer.
    const wait = failures === 1 && retryMs !== undefined ? sleep(retryMs, signal) : pause(failures, failure, signal);
    await wait.catch(() => undefined);
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
  { idleTimeoutMs, onRetry }: { readonly idleTimeoutMs: number; readonly onRetry: (ms: number) => void },
): AsyncGenerator<EventSourceMessage, void, void> {
  const connection = new AbortController();
  const startIdleTimer = (): ReturnType<typeof setTimeout> =>
    setTimeout(() => connection.abort(new Error('no heartbeat')), idleTimeoutMs);
  let idleTimer = startIdleTimer();
  const signals = signal === undefined ? connection.signal : AbortSignal.any([connection.signal, signal]);
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event), onRetry });
  const decoder = new TextDecoder();
  try {
    const headers = { accept: 'text/event-stream' };
    const response = await http.open('GET', path, {
      ...(query === undefined ? {} : { query }),
      headers,
      signal: signals,
    });
    // A reader, because not every browser can iterate over a ReadableStream.
    const reader = (response.body as ReadableStream<Uint8Array> | null)?.getReader();
    for (let chunk = await reader?.read(); chunk?.done === false; chunk = await reader?.read()) {
      clearTimeout(idleTimer);
      idleTimer = startIdleTimer();
      parser.feed(decoder.decode(chunk.value, { stream: true }));
      yield* events.splice(0);
    }
  } finally {
    clearTimeout(idleTimer);
    connection.abort(); // closes the connection when the caller stops reading
  }
}
