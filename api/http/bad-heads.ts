import { randomUUID } from 'node:crypto';
import { type Server, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { AppError } from '../../domain/errors.ts';
import { permissionFor } from './cross-origin.ts';
import { problemDocument } from './problems.ts';

/** Time for the client to take the answer. It may still be sending its headers. */
const CLOSE_GRACE_MS = 2000;

/**
 * Answers requests whose heads Node.js could not read, which therefore never reach the app: headers that are too large, what is no
 * HTTP, and heads that take too long. The connection is closed then, since nobody knows where the next request begins.
 * @param maxHeaderBytes the limit, for the answer
 * @param corsOrigins whose pages may read the answer, as far as the head was read
 */
export function answerBadHeads(server: Server, maxHeaderBytes: number, corsOrigins: readonly string[] = []): void {
  server.on('clientError', (error: BadHead, socket: Socket) => {
    if (!socket.writable || isAnswering(socket)) {
      socket.destroy();
      return;
    }
    socket.end(
      error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? head(408, '')
        : problem(problemOf(error, maxHeaderBytes), permission(error, corsOrigins)),
    );
    // Whoever goes on sending, and does not read, is cut off.
    socket.resume();
    setTimeout(() => socket.destroy(), CLOSE_GRACE_MS).unref();
  });
}

/** @see https://nodejs.org/api/http.html#event-clienterror */
type BadHead = NodeJS.ErrnoException & { readonly rawPacket?: Buffer };

const ORIGIN = /\r\norigin: ?(\S+)\r\n/i;

/** The headers that let the page read the answer that sent the request. */
function permission({ rawPacket }: BadHead, corsOrigins: readonly string[]): string[] {
  const origin = corsOrigins.length === 0 ? undefined : ORIGIN.exec(rawPacket?.toString('latin1') ?? '')?.[1];
  return origin === undefined || !corsOrigins.includes(origin) ? [] : permissionFor(origin);
}

/** Part of an answer to an earlier request is sent: bytes of another answer would corrupt it. Node.js itself looks at this too. */
function isAnswering(socket: Socket): boolean {
  const { _httpMessage: response } = socket as { readonly _httpMessage?: { readonly headersSent: boolean } | null };
  return response?.headersSent === true;
}

function problemOf({ code }: NodeJS.ErrnoException, limit: number): AppError {
  if (code !== 'HPE_HEADER_OVERFLOW') return new AppError('malformed', 'The request is no HTTP/1.1');
  return new AppError('headers-too-large', `At most ${limit} bytes of headers are accepted`, { limit });
}

function problem(error: AppError, more: readonly string[]): string {
  const requestId = randomUUID();
  const body = JSON.stringify({ ...problemDocument(error), requestId });
  const headers = [
    'Content-Type: application/problem+json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    `X-Request-Id: ${requestId}`,
    ...more,
  ];
  return `${head(error.status, headers.map((line) => `${line}\r\n`).join(''))}${body}`;
}

function head(status: number, headers: string): string {
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nDate: ${new Date().toUTCString()}\r\nConnection: close\r\n${headers}\r\n`;
}
