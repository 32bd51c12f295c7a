import type { Route } from '../../api/http/route.ts';
import type { Example } from '../../api/reference/examples.ts';
import { waitUntil } from '../harness/wait-until.ts';

/** What an example says of its request. */
export type ExampleRequest = Omit<Example, 'status' | 'answer'>;

/**
 * Sends a request.
 * @param events of a stream: how many to read before it is closed @default 1
 * @returns the answer: its JSON, or its text
 */
export type Send = (
  request: ExampleRequest,
  events?: number,
) => Promise<{ readonly status: number; readonly answer?: unknown }>;

export interface ExampleService {
  readonly url: string;
  readonly token: (user: string, claims: { readonly device?: string | undefined }) => Promise<string>;
}

/** Settings of a service for the examples: what is off by default is on. No gateway is called. */
export const EXAMPLES_ENV = {
  EXTERNAL_SENDER_KEY: 'only for the examples: 32 characters or more',
  PUSH_GATEWAY_URL: 'http://127.0.0.1:9/wake',
  PUSH_GATEWAY_SECRET: `whsec_${Buffer.alloc(24).toString('base64')}`,
};

/** Waits for the first heartbeats of all processes, without which a new service is not healthy yet. */
export async function untilHealthy(url: string): Promise<void> {
  const isHealthy = async (): Promise<boolean> => {
    const { status } = (await (await fetch(new URL('/health', url))).json()) as { status: string };
    return status === 'healthy';
  };
  await waitUntil(isHealthy, { what: 'the service is healthy' });
}

/** Longest text answer that an example shows, characters. */
const LONGEST_TEXT = 200;

/** The path and query of an example, from the template of its route. @throws Error if a parameter is missing */
export function targetOf(template: string, { params = {}, query = {} }: Pick<Example, 'params' | 'query'>): string {
  const given = new Map(Object.entries(params));
  const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = given.get(name);
    if (value === undefined) throw new Error(`${template}: no value for ${name}`);
    return encodeURIComponent(value);
  });
  const search = new URLSearchParams(query).toString();
  return search === '' ? path : `${path}?${search}`;
}

/** Sends the requests of examples to a service. */
export function makeSend(routes: readonly Pick<Route, 'name' | 'method' | 'path'>[], service: ExampleService): Send {
  const byName = new Map(routes.map((route) => [route.name, route]));
  return async (request, events = 1) => {
    const { operation, as, device, body } = request;
    const route = byName.get(operation);
    if (route === undefined) throw new Error(`There is no operation ${operation}`);
    const response = await fetch(new URL(targetOf(route.path, request), service.url), {
      method: route.method.toUpperCase(),
      headers: {
        ...(as === undefined ? {} : { authorization: `Bearer ${await service.token(as, { device })}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const { status } = response;
    const type = response.headers.get('content-type') ?? '';
    if (type.startsWith('text/event-stream')) return { status, answer: await firstEvents(response, events) };
    const text = await response.text();
    if (type.includes('json')) return { status, answer: JSON.parse(text) };
    return text === '' || text.length > LONGEST_TEXT ? { status } : { status, answer: text };
  };
}

/** The first events of a stream as they came, without comments and hints. Closes the stream. */
async function firstEvents(response: Response, count: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const events = eventsIn(text).slice(0, count);
    if (events.length === count) return events.join('');
  }
  throw new Error(`The stream ended before ${count} events`);
}

/** The complete events of a text in the format of server-sent events. */
export function eventsIn(text: string): string[] {
  return text
    .split('\n\n')
    .slice(0, -1)
    .filter((block) => block.startsWith('event:'))
    .map((block) => `${block}\n\n`);
}
