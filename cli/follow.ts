import { type Answer, refusal } from './api.ts';
import { CommandError, EXIT } from './exit-codes.ts';
import type { Connection } from './connection.ts';

/** An event of a stream. */
export interface Followed {
  readonly event: string;
  readonly data: unknown;
}

/**
 * Reads a stream of events until it ends, or until the signal.
 * @throws CommandError when the service refused, or when nothing answers
 */
export async function* follow(connection: Connection, path: string, signal: AbortSignal): AsyncGenerator<Followed> {
  try {
    const response = await fetch(new URL(path, connection.url), {
      headers: { accept: 'text/event-stream', authorization: `Bearer ${await connection.token()}` },
      // A redirect could carry the token elsewhere.
      redirect: 'error',
      signal,
    });
    if (!response.ok || response.body === null) throw refusal(await answerOf(response));
    let text = '';
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (text + chunk).split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const found = parse(block);
        if (found !== undefined) yield found;
      }
    }
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof CommandError) throw error;
    throw new CommandError(EXIT.unreachable, 'The service does not answer, or the stream broke', { cause: error });
  }
}

async function answerOf(response: Response): Promise<Answer<unknown>> {
  const { ok, status, headers } = response;
  const body: unknown = await response.json().catch(() => undefined);
  return { ok, status, requestId: headers.get('x-request-id'), body };
}

/** The service writes the data of an event in one line. @returns `undefined` for a comment */
function parse(block: string): Followed | undefined {
  const lines = block.split('\n');
  const field = (name: string): string | undefined =>
    lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const [event, data] = [field('event'), field('data')];
  return event === undefined || data === undefined ? undefined : { event, data: JSON.parse(data) as unknown };
}
