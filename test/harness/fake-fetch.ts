import type { DeviceApi, Entry } from '../../client/index.ts';
import { ProblemError } from '../../client/index.ts';
import type { FakeService } from './fake-service.ts';

type Body = Parameters<DeviceApi['createConversation']>[0] &
  Parameters<DeviceApi['commit']>[1] &
  Parameters<DeviceApi['send']>[1] &
  Parameters<DeviceApi['uploadKeyPackages']>[0] & {
    readonly positions: Parameters<DeviceApi['ack']>[0];
    readonly conversation: string;
  };

/** The fake service behind `fetch`, as far as two devices need it for a group. The token is `user/device`. */
export function fakeFetch(service: FakeService): typeof fetch {
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const token = new Headers(init.headers).get('authorization')?.replace('Bearer ', '') ?? '';
    const [user = '', device = ''] = token.split('/');
    const [, , room = '', id = '', action = ''] = url.pathname.split('/').map(decodeURIComponent);
    const body = (typeof init.body === 'string' ? JSON.parse(init.body) : {}) as Body;
    if (action === 'events') return eventsOf(service.log(id));
    const answer = answerTo(service.api(user, device), { id, body, after: url.searchParams.get('after') ?? 0 });
    try {
      const route = `${init.method ?? 'GET'} ${room}${action === '' ? '' : `/${action}`}`;
      const value = await (answer[route] ?? missing(route))();
      return value === undefined ? new Response(null, { status: 204 }) : Response.json(value);
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      const { status, code, details } = error;
      const headers = { 'content-type': 'application/problem+json' };
      return Response.json({ title: code, status, code, ...details }, { status, headers });
    }
  };
}

interface Asked {
  readonly id: string;
  readonly body: Body;
  readonly after: number | string;
}

function answerTo(api: DeviceApi, { id, body, after }: Asked): Record<string, () => Promise<unknown>> {
  return {
    'POST conversations': () => api.createConversation(body),
    'POST conversations/commits': () => api.commit(id, body),
    'POST conversations/messages': async () => ({ results: [await api.send(id, body)] }),
    'GET conversations/messages': () => api.log(id, { after }),
    'GET conversations/deletions': async () => ({ deleted: await api.deletions(id, Number(after)) }),
    'GET conversations/members': () => api.members(id),
    'GET key-packages': () => api.keyPackageCount(),
    'POST key-packages': () => api.uploadKeyPackages(body),
    'POST users/key-packages': () => api.claimKeyPackages(id, { conversation: body.conversation }),
    'GET welcomes': async () => ({ welcomes: await api.welcomes() }),
    'POST welcomes/ack': () => api.ackWelcome(id),
    'POST ack': () => api.ack(body.positions),
  };
}

function missing(route: string): () => never {
  return () => {
    throw new Error(`the fake service has no route ${route}`);
  };
}

/** A stream with all entries of the log, which stays open. */
function eventsOf(log: readonly Entry[]): Response {
  const events = log.map((entry) => `event: entry\ndata: ${JSON.stringify(entry)}\n\n`);
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode(events.join(''))),
  });
  return new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
}
