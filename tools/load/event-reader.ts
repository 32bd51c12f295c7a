import { Agent, request } from 'node:http';

/** A reader of one event stream, on a connection of its own. */
export interface EventReader {
  /** Ends when the stream did, for whatever reason. */
  readonly ended: Promise<void>;
  readonly close: () => void;
}

// No pool: an open stream keeps its connection.
const agent = new Agent({ keepAlive: false, maxSockets: Infinity });
const END = '\n\n';

/**
 * Opens an event stream. It does not parse: the load generator shares the cores with what it measures.
 * @param onEvent hears of each event with its raw text, comments included
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
        // A stream that breaks off closes as well.
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
