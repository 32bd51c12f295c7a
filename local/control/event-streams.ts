import type { ServerResponse } from 'node:http';
import { Refusal } from './refusal.ts';

/** Windows of one person, with room for tests. */
const MAX_STREAMS = 64;
/** A reader that has so much before it does not read any more. */
const MAX_WAITING_BYTES = 256 * 1024;
/** An idle connection says that it lives; so a page that is gone is noticed too. */
const BEAT_MS = 15_000;

/** An event as its name and its data. */
export type ControlEvent = { name: string; data: unknown };

/** The open streams of server-sent events. */
export type EventStreams = {
  /** Makes an answer a stream. @param first is sent at once. @throws Refusal if there are too many */
  open: (response: ServerResponse, first: readonly ControlEvent[]) => void;
  send: (event: ControlEvent) => void;
  close: () => void;
};

export function makeEventStreams(): EventStreams {
  const open = new Set<ServerResponse>();
  const write = (response: ServerResponse, text: string): void => {
    // A write to a page that does not read is kept in the memory of this process.
    if (response.writableLength > MAX_WAITING_BYTES) response.destroy();
    else response.write(text);
  };
  const beat = setInterval(() => {
    for (const response of open) write(response, ': here\n\n');
  }, BEAT_MS);
  beat.unref();
  return {
    open: (response, first) => {
      if (open.size >= MAX_STREAMS) throw new Refusal(503, 'too-many-streams', 'Too many streams are open.');
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      open.add(response);
      response.once('close', () => void open.delete(response));
      response.write('retry: 1000\n\n');
      for (const event of first) write(response, frameOf(event));
    },
    send: (event) => {
      const frame = frameOf(event);
      for (const response of open) write(response, frame);
    },
    close: () => {
      clearInterval(beat);
      for (const response of open) response.end();
    },
  };
}

/** JSON has no line break, so one line holds the data. */
function frameOf({ name, data }: ControlEvent): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
