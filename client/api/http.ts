import { sleep } from '../platform/sleep.ts';
import { ProblemError, toProblem } from './problem.ts';

/** Where the service is, and who speaks to it. */
export interface HttpOptions {
  /** Address of the service. A function is asked before every try, so that a retry may use another address. */
  readonly baseUrl: string | (() => string);
  /** Bearer token. It is asked before every try, so that it may renew an expired token. */
  readonly token: () => string | Promise<string>;
  /**
   * Id of this install, for tokens that name no device: without it every install of the user is `default`, and they throw each
   * other out. Make it once (a UUID) and keep it. A token that names another device is refused with it.
   */
  readonly device?: string;
  /** Tries of one request. @default 6 */
  readonly attempts?: number;
  /** Time limit of one try, above the service's own deadline of 10 s. @default 15000 */
  readonly timeoutMs?: number;
}

/** What a request has beside its method and path. */
export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** For a POST whose body has no id; every retry sends the same key. */
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal | undefined;
}

/** A method of HTTP. */
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** JSON over fetch, with retries. */
export interface Http {
  /** The JSON of the answer; `undefined` if the answer has no body. @throws ProblemError */
  readonly json: (method: Method, path: string, options?: RequestOptions) => Promise<unknown>;
  /** One try; the response's body is not read yet. @throws ProblemError */
  readonly open: (method: Method, path: string, options?: RequestOptions) => Promise<Response>;
}

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
/** Whatever a server asks for, nobody waits longer before the next try. A timer of more than 2^31 ms would end at once. */
export const MAX_RETRY_MS = 60_000;

/**
 * A wrapper of `fetch` that retries broken connections, timeouts, 503, and 429 with `Retry-After`. A retry has the same
 * bytes and the same operation id as the first try, so the service never applies an operation twice.
 */
export function createHttp({ baseUrl, token, device, attempts = 6, timeoutMs = 15_000 }: HttpOptions): Http {
  const open = async (method: Method, path: string, options: RequestOptions = {}): Promise<Response> => {
    const url = new URL(path, typeof baseUrl === 'function' ? baseUrl() : baseUrl);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const headers = new Headers({ accept: 'application/json', ...options.headers });
    headers.set('authorization', `Bearer ${await token()}`);
    // Headers are bytes of ASCII, and a device id may be any text.
    if (device !== undefined) headers.set('parley-device', encodeURIComponent(device));
    if (options.idempotencyKey !== undefined) headers.set('idempotency-key', options.idempotencyKey);
    if (options.body !== undefined) headers.set('content-type', 'application/json');
    const response = await fetch(url, {
      method,
      headers,
      signal: options.signal ?? null,
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    });
    if (!response.ok) throw await toProblem(response);
    return response;
  };

  const once = async (method: Method, path: string, options: RequestOptions): Promise<unknown> => {
    const limit = AbortSignal.timeout(timeoutMs);
    const signal = options.signal === undefined ? limit : AbortSignal.any([options.signal, limit]);
    const response = await open(method, path, { ...options, signal });
    const text = await response.text();
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  };

  const json = async (method: Method, path: string, options: RequestOptions = {}): Promise<unknown> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(method, path, options);
      } catch (error) {
        // Any other error is a broken connection or a timeout: nobody knows the outcome, and only a retry can tell.
        const isFinal = error instanceof ProblemError && !error.isRetryable;
        if (isFinal || attempt >= attempts || options.signal?.aborted === true) throw error;
        await pause(attempt, error, options.signal);
      }
    }
  };

  return { json, open };
}

/** Waits for the time that the service asked for; without such a time exponentially longer, with jitter. */
export async function pause(attempt: number, error: unknown, signal?: AbortSignal): Promise<void> {
  const backoff = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), MAX_PAUSE_MS) * (0.5 + Math.random() / 2);
  const retryAfter = error instanceof ProblemError ? error.retryAfterMs : undefined;
  await sleep(Math.min(retryAfter ?? backoff, MAX_RETRY_MS), signal);
}
