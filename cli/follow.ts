import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, refusal } from './api.ts';
import { CommandError, EXIT } from './exit-codes.ts';
import type { Connection } from './connection.ts';

/** An event of a stream. */
export interface Followed {
  readonly event: string;
  readonly data: unknown;
}

/** These answers stay what they are: who comes back gets the same. */
const FINAL: readonly number[] = [401, 403, 404];
/** Before the service has said how long to wait. */
const RETRY_MS = 1000;

/**
 * Reads a stream of events until the signal. Whenever it ends, or its connection breaks, it is opened again, with a new token, after
 * the time that the service has named.
 * @param onBreak the service does not answer, or the connection broke: it is tried again
 * @throws CommandError when the service refused, or when nothing answers at first
 */
export async function* follow(
  connection: Connection,
  path: string,
  signal: AbortSignal,
  onBreak: (error: CommandError) => void,
): AsyncGenerator<Followed> {
  let retryMs = RETRY_MS;
  let wasOpen = false;
  for (;;) {
    try {
      const response = await open(connection, path, signal);
      if (response.body === null || !response.ok) {
        const error = refusal(await answerOf(response));
        if (!wasOpen || FINAL.includes(response.status)) throw error;
        onBreak(error);
      } else {
        wasOpen = true;
        for await (const { retry, ...event } of eventsOf(response.body)) {
          retryMs = retry ?? retryMs;
          if (isWhole(event)) yield event;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof CommandError) throw error;
      const broken = new CommandError(EXIT.unreachable, 'The service does not answer, or the stream broke', {
        cause: error,
      });
      if (!wasOpen) throw broken;
      onBreak(broken);
    }
    await sleep(retryMs, undefined, { signal }).catch(() => undefined);
  }
}

async function open(connection: Connection, path: string, signal: AbortSignal): Promise<Response> {
  return fetch(new URL(path, connection.url), {
    headers: { accept: 'text/event-stream', authorization: `Bearer ${await connection.token()}` },
    // A redirect could carry the token elsewhere.
    redirect: 'error',
    signal,
  });
}

async function answerOf(response: Response): Promise<Answer<unknown>> {
  const { ok, status, headers } = response;
  const body: unknown = await response.json().catch(() => undefined);
  return { ok, status, requestId: headers.get('x-request-id'), body };
}

interface Block {
  readonly event?: string;
  readonly data?: unknown;
  /** How long to wait before the stream is opened again, in milliseconds. */
  readonly retry?: number;
}

async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Block> {
  let text = '';
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + chunk).split('\n\n');
    text = blocks.pop() ?? '';
    yield* blocks.map(parse);
  }
}

function isWhole(block: Block): block is Followed {
  return block.event !== undefined && 'data' in block;
}

/** The service writes the data of an event in one line. Of a comment there is nothing. */
function parse(block: string): Block {
  const lines = block.split('\n');
  const field = (name: string): string | undefined =>
    lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const [event, data, retry] = [field('event'), field('data'), field('retry')];
  return {
    ...(event === undefined ? {} : { event }),
    ...(data === undefined ? {} : { data: JSON.parse(data) as unknown }),
    ...(retry === undefined ? {} : { retry: Number(retry) }),
  };
}
