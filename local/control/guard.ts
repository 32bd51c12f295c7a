import type { IncomingMessage } from 'node:http';
import { Refusal } from './refusal.ts';

/** Names of this machine for itself. Each of them is an origin of its own in a browser. */
const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]'] as const;

/** Who may talk to the control server: pages of the API that are open on this machine. */
export interface Guard {
  /** @throws Refusal unless the request comes from such a page. @returns its origin, for CORS */
  readonly originOf: (request: IncomingMessage) => string;
}

/**
 * The control server kills processes and makes tokens, so it must not do what a page of somebody else asks for.
 * - `Host` names this machine: a foreign name that was pointed at it (DNS rebinding) has another.
 * - `Origin` is that of the API. It is required: browsers send it with every request of a page to another port, and pages cannot forge it.
 * @param ports where the API and the control server listen
 */
export function makeGuard(ports: { readonly api: number; readonly control: number }): Guard {
  const hosts = new Set(LOOPBACK_NAMES.map((name) => `${name}:${ports.control}`));
  const origins = new Set(LOOPBACK_NAMES.map((name) => `http://${name}:${ports.api}`));
  return {
    originOf: ({ headers }) => {
      if (!hosts.has(headers.host ?? ''))
        throw new Refusal(403, 'foreign-host', 'The host of the request is not this machine.');
      const { origin } = headers;
      if (origin === undefined || !origins.has(origin))
        throw new Refusal(403, 'foreign-origin', 'Only pages of the API on this machine may ask.');
      return origin;
    },
  };
}

/**
 * A body must be JSON: a page of somebody else can send this type only after a preflight request, which is refused.
 * @throws Refusal
 */
export function assertJson({ headers }: IncomingMessage): void {
  const [type] = (headers['content-type'] ?? '').split(';');
  if (type?.trim().toLowerCase() !== 'application/json')
    throw new Refusal(415, 'not-json', 'The body must be application/json.');
}
