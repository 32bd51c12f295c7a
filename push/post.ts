import http from 'node:http';
import https from 'node:https';
import type { TLSSocketOptions } from 'node:tls';
import { type Addresses, ForbiddenAddressError, addressIn } from './addresses.ts';

/** Time for the whole request, with name look-up and TLS. */
const TIMEOUT_MS = 8000;
/** Nothing of a longer answer is of use. */
const MAX_ANSWER_BYTES = 16 * 1024;
const SOCKETS_PER_HOST = 32;

/** What a push service answered. */
export interface PostAnswer {
  readonly status: number;
  /** `Retry-After` in milliseconds. */
  readonly retryAfterMs: number | undefined;
}

export interface Post {
  /**
   * Sends a POST request. Follows no redirect, and reads a bounded answer.
   * @throws Error without an answer in time, also when the address is forbidden
   */
  readonly post: (url: string, headers: http.OutgoingHttpHeaders, body: Buffer | string) => Promise<PostAnswer>;
  readonly close: () => void;
}

/** @param options.ca certificates that are trusted instead of those of Node.js; for tests */
export function makePost(
  addresses: Addresses,
  options: { readonly timeoutMs?: number; readonly ca?: TLSSocketOptions['ca'] } = {},
): Post {
  const { timeoutMs = TIMEOUT_MS } = options;
  const common = { keepAlive: true, maxSockets: SOCKETS_PER_HOST, maxFreeSockets: 4, timeout: 30_000 };
  const secure = new https.Agent({ ...common, minVersion: 'TLSv1.2', ...(options.ca ? { ca: options.ca } : {}) });
  const plain = new http.Agent(common);
  return {
    post: (url, headers, body) =>
      new Promise((resolve, reject) => {
        const { protocol, hostname } = new URL(url);
        // Node looks no address up that stands in the URL itself.
        const address = addressIn(hostname);
        if (address !== undefined && !addresses.isAllowed(address)) {
          reject(new ForbiddenAddressError('an address that is not allowed'));
          return;
        }
        const isSecure = protocol === 'https:';
        const request = (isSecure ? https : http).request(url, {
          method: 'POST',
          agent: isSecure ? secure : plain,
          lookup: addresses.lookup,
          headers: { ...headers, 'content-length': Buffer.byteLength(body) },
          signal: AbortSignal.timeout(timeoutMs),
        });
        request.on('error', reject);
        request.on('response', (response) => {
          let bytes = 0;
          const done = (): void =>
            resolve({
              status: response.statusCode ?? 0,
              retryAfterMs: retryAfter(response.headers['retry-after'], Date.now()),
            });
          response.on('data', (chunk: Buffer) => {
            bytes += chunk.length;
            if (bytes <= MAX_ANSWER_BYTES) return;
            done();
            request.destroy();
          });
          response.on('end', done);
          response.on('error', reject);
        });
        request.end(body);
      }),
    close: () => {
      secure.destroy();
      plain.destroy();
    },
  };
}

/** Reads `Retry-After` (RFC 9110 §10.2.3): seconds, or a date. */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,7}$/.test(header)) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
