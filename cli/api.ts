import type { components, paths } from '../client/api/openapi.ts';
import type { Connection } from './connection.ts';
import { CommandError, EXIT } from './exit-codes.ts';

/** Answers of the admin API, from the API description. */
export type Schemas = components['schemas'];

type Method = 'get' | 'post' | 'put' | 'delete';
type Json<R> = R extends { readonly content: { readonly 'application/json': infer Body } } ? Body : undefined;
type PathsOf<M extends Method> = {
  [P in keyof paths]: paths[P][M] extends { readonly responses: object } ? P : never;
}[keyof paths];
type Data<O> = O extends { readonly responses: infer R } ? Json<R[keyof R & (200 | 201 | 202 | 204)]> : never;
type Body<O> = O extends { readonly requestBody?: infer B } ? Json<Exclude<B, undefined>> : undefined;
type Query<O> = O extends { readonly parameters: { readonly query?: infer Q } } ? Q : undefined;
type PathParams<O> = O extends { readonly parameters: { readonly path: infer P } } ? P : undefined;
interface Init<O> {
  readonly params?: { readonly path?: PathParams<O>; readonly query?: Query<O> };
  readonly body?: Body<O>;
}

/** An answer whose body was read. */
export interface Answer<T> {
  readonly ok: boolean;
  readonly status: number;
  readonly requestId: string | null;
  /** JSON, as the API description says where the request succeeded; `undefined` = no JSON. */
  readonly body: T | undefined;
}

type Send<M extends Method> = <P extends PathsOf<M>>(
  path: P,
  init?: Init<paths[P][M]>,
) => Promise<Answer<Data<paths[P][M]>>>;

/** The API, typed by the API description. Nothing is retried: an operator wants to know at once. */
export interface Api {
  readonly GET: Send<'get'>;
  readonly POST: Send<'post'>;
  readonly PUT: Send<'put'>;
  readonly DELETE: Send<'delete'>;
}

/** Above the deadline of the service itself. */
const TIMEOUT_MS = 15_000;

interface AnyInit {
  readonly params?: { readonly path?: object; readonly query?: object };
  readonly body?: unknown;
}

export function makeApi({ url, token }: Connection): Api {
  const send = async (
    method: string,
    template: string,
    { params = {}, body }: AnyInit = {},
  ): Promise<Answer<unknown>> => {
    const named = new Map<string, unknown>(Object.entries(params.path ?? {}));
    const target = new URL(
      template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(named.get(name)))),
      url,
    );
    for (const [name, value] of Object.entries(params.query ?? {})) target.searchParams.set(name, String(value));
    const response = await fetch(target, {
      method,
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${await token()}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      // A redirect could carry the token elsewhere.
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    const { ok, status, headers } = response;
    return { ok, status, requestId: headers.get('x-request-id'), body: parse(text) };
  };
  const by = <M extends Method>(method: M): Send<M> =>
    ((path, init) => send(method.toUpperCase(), path, init as AnyInit | undefined)) as Send<M>;
  return {
    GET: by('get'),
    POST: by('post'),
    PUT: by('put'),
    DELETE: by('delete'),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Without a body. */
const NO_CONTENT = 204;

/** The body of a successful answer. @throws CommandError when the service refused, or when something else or nothing answers */
export async function call<T>(answer: Promise<Answer<T>>): Promise<T> {
  const found = await reach(answer);
  if (!found.ok || (found.body === undefined && found.status !== NO_CONTENT)) throw refusal(found);
  return found.body as T;
}

async function reach<T>(answer: Promise<Answer<T>>): Promise<Answer<T>> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(EXIT.unreachable, `The service does not answer: ${reasonOf(error)}`, { cause: error });
  }
}

/** `fetch failed` says nothing; the reason stands in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof AggregateError) return reasonOf(cause.errors[0]);
  return cause instanceof Error ? cause.message : error.message;
}

/** What to say about an answer that is no success. */
export function refusal({ status, requestId, body }: Answer<unknown>): CommandError {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Partial<Schemas['Problem']>;
  // Not from the service: from a proxy in front of it.
  if (problem.code === undefined) {
    return new CommandError(
      status >= 500 ? EXIT.unreachable : EXIT.problem,
      `The answer was ${status}, and not from Parley`,
    );
  }
  const needsOperator = problem.code === 'unauthenticated' || problem.code === 'not-allowed';
  const hint = needsOperator ? ' (PARLEY_TOKEN needs the scope `operator`)' : '';
  const request = requestId === null ? '' : ` [request ${requestId}]`;
  return new CommandError(EXIT.problem, `${problem.code}: ${problem.detail ?? problem.title ?? ''}${hint}${request}`);
}
