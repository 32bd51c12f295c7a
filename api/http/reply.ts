import type { Response } from 'express';
import { contextOf, ownerOf, whenOver } from './context.ts';

/** A successful answer before it is sent. */
export interface Reply {
  readonly status: number;
  /** JSON; absent = no body. */
  readonly body?: unknown;
  /** Text of this media type, instead of JSON. */
  readonly text?: { readonly type: string; readonly content: string };
  readonly headers?: Readonly<Record<string, string>>;
  /** False = the answer is not stored for the Idempotency-Key, because a part of the request may succeed later. */
  readonly isFinal?: boolean;
  /** To run the request again under its Idempotency-Key gives the same answer: it is not stored, because it may be large. */
  readonly isRepeatable?: boolean;
  /** Anybody gets the same answer to the same path for this time, in milliseconds. Only for public routes. @default 0 */
  readonly keptMs?: number;
}

/** A JSON answer. */
export function reply(status: number, body: unknown, headers?: Reply['headers']): Reply {
  return { status, body, ...(headers === undefined ? {} : { headers }) };
}

/** An answer without a body. */
export function emptyReply(status: number, headers?: Reply['headers']): Reply {
  return { status, ...(headers === undefined ? {} : { headers }) };
}

/** A text answer. */
export function textReply(status: number, type: string, content: string): Reply {
  return { status, text: { type, content } };
}

/** Sends a reply. Does nothing if the client is gone or already has an answer. */
export function send(response: Response, { status, body, text, headers, keptMs = 0 }: Reply): void {
  if (response.headersSent || response.destroyed) return;
  response.statusCode = status;
  if (headers !== undefined) for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  const form =
    text ??
    (body === undefined ? undefined : { type: 'application/json; charset=utf-8', content: JSON.stringify(body) });
  if (form === undefined) {
    response.end();
    return;
  }
  write(response, form.type, form.content);
  if (keptMs > 0) contextOf(response).kept.keep(response.req, response, form.content, keptMs);
}

/** Larger answers are written in parts of this many bytes, so that it is known how fast their client reads. */
const PART_BYTES = 64 * 1024;

/** Sends text, and ends the response. Its bytes count for the caller until the client has taken them. */
export function write(response: Response, type: string, content: string): void {
  const { transfers, meter, body } = contextOf(response);
  // The request is served. What was in its body is garbage now.
  body?.end();
  // UTF-8 of a large answer is made once, and then cut into parts.
  const bytes = content.length > PART_BYTES ? Buffer.from(content) : undefined;
  const length = bytes?.length ?? Buffer.byteLength(content);
  response.setHeader('Content-Type', type);
  response.setHeader('Content-Length', length);
  meter?.debitAnswer(length);
  const transfer = transfers.begin(ownerOf(response), 'sent', () => response.req.socket.destroy());
  whenOver(response, transfer.end);
  transfer.hold(length);
  if (response.req.socket.destroyed) return;
  if (bytes === undefined) response.end(content);
  else writeParts(response, bytes, transfer.moved);
}

/** Writes bytes part by part: each after the client has taken the one before. */
function writeParts(response: Response, bytes: Buffer, onTaken: (bytes: number) => void, from = 0): void {
  const part = bytes.subarray(from, from + PART_BYTES);
  if (from + part.length === bytes.length) {
    response.end(part);
    return;
  }
  response.write(part, (error) => {
    if (error instanceof Error || response.destroyed) return;
    onTaken(part.length);
    writeParts(response, bytes, onTaken, from + part.length);
  });
}
