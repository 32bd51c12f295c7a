import { type IncomingHttpHeaders, type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http';
import { createParser } from 'eventsource-parser';
import type { DevelopmentToken } from '../../local/control/server.ts';
import type { PartStatus, WatchedPart } from '../../local/part-states.ts';

/** What the control server says of the stack. */
export interface ControlState {
  readonly parts: readonly PartStatus[];
  readonly backup: { readonly takenAt: number } | null;
  readonly action: { readonly what: string; readonly since: number } | null;
}

export interface ControlAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readonly<Record<string, unknown>>;
}

/** One stream of `/events`. */
export interface ControlStream {
  /** The newest; `undefined` until the first came. */
  readonly state: () => ControlState | undefined;
  readonly part: (name: WatchedPart) => PartStatus | undefined;
  readonly said: readonly string[];
  readonly close: () => void;
}

export interface ControlClient {
  /** @param headers replace those that a page of the API sends */
  readonly ask: (
    method: string,
    path: string,
    options?: { readonly body?: string; readonly headers?: OutgoingHttpHeaders },
  ) => Promise<ControlAnswer>;
  readonly act: (what: string, conversation?: string) => Promise<ControlAnswer>;
  readonly token: (who: object) => Promise<DevelopmentToken>;
  readonly follow: () => Promise<ControlStream>;
}

/** Talks to a control server as the page of the API does. */
export function controlClient(ports: { readonly api: number; readonly control: number }): ControlClient {
  const standard = { origin: `http://localhost:${ports.api}` };
  const send = (method: string, path: string, headers: OutgoingHttpHeaders, body = ''): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const where = { host: '127.0.0.1', port: ports.control, method, path };
      const given = Object.entries({ ...standard, ...headers }).filter(([, value]) => value !== undefined);
      request({ ...where, headers: Object.fromEntries(given) }, resolve)
        .once('error', reject)
        .end(body);
    });
  const ask: ControlClient['ask'] = async (method, path, { body, headers = {} } = {}) => {
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    const response = await send(method, path, { ...type, ...headers }, body);
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: text === '' ? {} : (JSON.parse(text) as ControlAnswer['body']),
    };
  };
  return {
    ask,
    act: (what, conversation) => ask('POST', '/actions', { body: JSON.stringify({ what, conversation }) }),
    token: async (who) => {
      const { status, body } = await ask('POST', '/tokens', { body: JSON.stringify(who) });
      if (status !== 200) throw new Error(`No token: ${JSON.stringify(body)}`);
      return body as unknown as DevelopmentToken;
    },
    follow: async () => {
      const response = await send('GET', '/events', {});
      let state: ControlState | undefined;
      const said: string[] = [];
      const parser = createParser({
        onEvent: ({ event, data }) => {
          if (event === 'state') state = JSON.parse(data) as ControlState;
          if (event === 'said') said.push((JSON.parse(data) as { text: string }).text);
        },
      });
      response.on('data', (chunk: Buffer) => parser.feed(chunk.toString()));
      response.on('error', () => undefined);
      return {
        state: () => state,
        part: (name) => state?.parts.find((part) => part.name === name),
        said,
        close: () => response.destroy(),
      };
    },
  };
}
