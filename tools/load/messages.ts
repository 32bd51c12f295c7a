import { createHash, randomBytes } from 'node:crypto';

/** Bytes of every message: about what a short text becomes in a real client. */
export const MESSAGE_BYTES = 512;

/** A JSON body for a new message; only the id differs, so that making bodies costs the load generator nothing. */
export function makeMessageBodies(): (id: string) => string {
  const ciphertext = randomBytes(MESSAGE_BYTES).toString('base64');
  return (id) => `{"id":"${id}","ciphertext":"${ciphertext}","epoch":0}`;
}

/** Bytes that belong to one message id and no other, so that a log can be checked without remembering what was sent. */
export function bytesOf(id: string): Buffer {
  const seed = createHash('sha256').update(id).digest();
  return Buffer.concat(Array.from({ length: MESSAGE_BYTES / seed.length }, () => seed));
}

/** The JSON body with the bytes that belong to the id. */
export function bodyOf(id: string): string {
  return JSON.stringify({ id, ciphertext: bytesOf(id).toString('base64'), epoch: 0 });
}

/** Where messages of a conversation are sent to and read from. */
export function messagesPath(conversation: string): string {
  return `/v1/conversations/${conversation}/messages`;
}
