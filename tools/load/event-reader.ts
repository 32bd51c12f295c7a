import { Agent, request } from 'node:http';

/** A reader of one event stream, on its own connection. */
export interface EventReader {
  /** Resolves when the stream has ended, for any reason. */
  readonly ended: Promise<void>;
  readonly close: () => void;
}

// No pool: an open stream keeps its connection.
const agent = new Agent({ keepAlive: false, maxSockets: Infinity });
const END = '\n\n';
const ID = '"id":"';

/**
 * Opens an event stream. It does not parse events: the load generator shares the cores with the measured service.
 * @param onEvent called with the raw text of each event, comments included
 * @throws Error unless the answer is 200
 */
export function openEventReader(url: string, token: string, onEvent: (text: string) => void): Promise<EventReader> {
  return new Promise((resolve, reject) => {
    const asked = request(
      url,
      { agent, headers: { authorization: token, accept: 'text/event-stream' } },
      (response) => {
        let rest = '';
        const ended = new Promise<void>((done) => response.once('close', done));
        // A broken stream emits `close` as well.
        response.on('error', () => undefined);
        // Events are ASCII, so no character is cut in two.
        response.setEncoding('latin1').on('data', (chunk: string) => {
          const text = rest + chunk;
          let from = 0;
          for (let end = text.indexOf(END); end >= 0; end = text.indexOf(END, from)) {
            onEvent(text.slice(from, end));
            from = end + END.length;
          }
          rest = text.slice(from);
        });
        if (response.statusCode === 200) resolve({ ended, close: () => asked.destroy() });
        else {
          asked.destroy();
          reject(new Error(`HTTP ${response.statusCode} for a stream`));
        }
      },
    );
    asked.on('error', reject).end();
  });
}

/** The message id in the raw text of an event, read without parsing JSON. `undefined` = the event has no id. */
export function messageIdOf(text: string): string | undefined {
  const start = text.indexOf(ID);
  return start < 0 ? undefined : text.slice(start + ID.length, text.indexOf('"', start + ID.length));
}
