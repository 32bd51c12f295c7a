import type { Route } from '../../api/http/route.ts';
import type { Example } from '../../api/reference/examples.ts';

/** What an example says of its request. */
export type ExampleRequest = Omit<Example, 'status' | 'answer'>;

/** Sends a request. @returns the answer, with its JSON */
export type Send = (request: ExampleRequest) => Promise<{ readonly status: number; readonly answer?: unknown }>;

export interface ExampleService {
  readonly url: string;
  readonly token: (user: string, claims: { readonly device?: string | undefined }) => Promise<string>;
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
  return async (request) => {
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
    const text = await response.text();
    const { status } = response;
    if (response.headers.get('content-type')?.includes('json') === true) return { status, answer: JSON.parse(text) };
    return text === '' || text.length > LONGEST_TEXT ? { status } : { status, answer: text };
  };
}
