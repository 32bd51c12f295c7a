import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { messageOf } from '../../process/message-of.ts';
import { LOOPBACK, listenOn } from '../../process/listen.ts';
import type { PartStates } from '../part-states.ts';
import type { Actions } from './actions.ts';
import { makeEventStreams, type ControlEvent } from './event-streams.ts';
import { makeGuard } from './guard.ts';
import { readJson } from './read-json.ts';
import { problemOf, Refusal } from './refusal.ts';
import { ACTION_REQUEST, TOKEN_REQUEST, type TokenRequest } from './requests.ts';
import type { Terminal } from './terminal.ts';

/** A development token. */
export type DevelopmentToken = { token: string; /** Milliseconds since 1970. */ expiresAt: number };

export type ControlInput = {
  ports: { api: number; control: number };
  states: PartStates;
  actions: Actions;
  /** When the backup was taken; undefined = there is none. */
  backupTakenAt: () => number | undefined;
  terminal: Pick<Terminal, 'lines' | 'onLine'>;
  /** Makes a token. Absent = another issuer signs them. */
  makeToken: ((request: TokenRequest) => Promise<DevelopmentToken>) | undefined;
};

const MAX_CONNECTIONS = 256;
/** A whole request must be here in this time. */
const REQUEST_MS = 5_000;

/**
 * Starts the control server of the local stack: development tokens, what the stack does, and what a person may do to it. It listens on
 * the loopback address only, and answers only to pages of the API on this machine.
 * @returns ends it
 */
export async function startControlServer(input: ControlInput): Promise<() => Promise<void>> {
  const { ports, states, actions, terminal, backupTakenAt, makeToken } = input;
  const { originOf } = makeGuard(ports);
  const streams = makeEventStreams();
  const state = (): ControlEvent => {
    const takenAt = backupTakenAt();
    return {
      name: 'state',
      data: {
        parts: states.list(),
        backup: takenAt === undefined ? null : { takenAt },
        action: actions.running() ?? null,
      },
    };
  };
  const stopListening = states.onChange(() => streams.send(state()));
  actions.onChange(() => streams.send(state()));
  terminal.onLine((data) => streams.send({ name: 'said', data }));

  const routes: Record<string, { method: 'GET' | 'POST'; answer: Answer }> = {
    '/events': {
      method: 'GET',
      answer: (_request, response) => {
        streams.open(response, [...terminal.lines().map((data) => ({ name: 'said', data })), state()]);
        return Promise.resolve();
      },
    },
    '/actions': {
      method: 'POST',
      answer: async (request, response) => {
        const action = await readJson(request, ACTION_REQUEST);
        await actions.start(action);
        reply(response, 202, { what: action.what });
      },
    },
    ...(makeToken === undefined
      ? {}
      : {
          '/tokens': {
            method: 'POST',
            answer: async (request, response) => {
              reply(response, 200, await makeToken(await readJson(request, TOKEN_REQUEST)));
            },
          },
        }),
  };

  const answer: Answer = async (request, response) => {
    const origin = originOf(request);
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('vary', 'origin');
    const route = Object.entries(routes).find(([path]) => path === request.url)?.[1];
    if (route === undefined) throw new Refusal(404, 'not-found', 'There is nothing at this path.');
    if (request.method === 'OPTIONS') {
      response.setHeader('access-control-allow-methods', route.method);
      response.setHeader('access-control-allow-headers', 'content-type');
      response.setHeader('access-control-max-age', '600');
      response.writeHead(204).end();
      return;
    }
    if (request.method !== route.method) throw new Refusal(405, 'method', `Use ${route.method}.`);
    await route.answer(request, response);
  };

  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS }, (request, response) => {
    answer(request, response).catch((error: unknown) => {
      const refusal = error instanceof Refusal ? error : new Refusal(400, 'malformed', messageOf(error));
      if (response.headersSent) response.destroy();
      else reply(response, refusal.status, problemOf(refusal), 'application/problem+json');
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  await listenOn(server, { address: LOOPBACK, port: ports.control, variable: 'CONTROL_PORT' });
  return async () => {
    stopListening();
    streams.close();
    await closed(server);
  };
}

type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

function reply(response: ServerResponse, status: number, body: object, type = 'application/json'): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(JSON.stringify(body));
}

/** Streams have got their end; a page that does not read it is not waited for. */
async function closed(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
