import { type IncomingMessage, get } from 'node:http';
import { type EventSourceMessage, createParser } from 'eventsource-parser';

/** One connection to an event stream. It never reconnects. */
export interface StreamConnection {
  /** Why it ended: it broke, or nothing came for too long, or the status of an answer that is no stream. */
  readonly ended: Promise<'broken' | 'silent' | number>;
  /** A reader that stops reading: the bytes stay in the network. */
  readonly pause: () => void;
  readonly resume: () => void;
  readonly close: () => void;
}

/** Heartbeats come every 15 s. */
const SILENT_MS = 20_000;

/** Opens a stream. @param onEvent called for each event, in order */
export function openConnection(
  url: URL,
  headers: Readonly<Record<string, string>>,
  onEvent: (event: EventSourceMessage) => void,
): StreamConnection {
  let response: IncomingMessage | undefined;
  let isPaused = false;
  const parser = createParser({ onEvent });
  const request = get(url, { headers: { ...headers, accept: 'text/event-stream' }, agent: false });
  const ended = new Promise<'broken' | 'silent' | number>((resolve) => {
    const silence = setTimeout(() => {
      resolve('silent');
      request.destroy();
    }, SILENT_MS);
    const end = (why: 'broken' | number): void => {
      clearTimeout(silence);
      resolve(why);
    };
    request.on('error', () => end('broken'));
    request.on('response', (answer) => {
      response = answer;
      const { statusCode = 0 } = answer;
      if (statusCode !== 200) {
        answer.resume();
        end(statusCode);
        return;
      }
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        silence.refresh();
        parser.feed(chunk);
      });
      answer.on('error', () => undefined);
      answer.on('close', () => end('broken'));
      if (isPaused) answer.pause();
    });
  });
  return {
    ended,
    pause: () => {
      isPaused = true;
      response?.pause();
    },
    resume: () => {
      isPaused = false;
      response?.resume();
    },
    close: () => request.destroy(),
  };
}
