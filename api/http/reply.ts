import type { Response } from 'express';

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
export function send(response: Response, { status, body, text, headers }: Reply): void {
  if (response.headersSent || response.destroyed) return;
  response.statusCode = status;
  if (headers !== undefined) for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (text !== undefined) write(response, text.type, text.content);
  else if (body !== undefined) write(response, 'application/json; charset=utf-8', JSON.stringify(body));
  else response.end();
}

/** Sends text, and ends the response. */
export function write(response: Response, type: string, content: string): void {
  response.setHeader('Content-Type', type);
  response.setHeader('Content-Length', Buffer.byteLength(content));
  response.end(content);
}
