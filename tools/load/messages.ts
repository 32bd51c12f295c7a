import { createHash, randomBytes } from 'node:crypto';

/** Size of every message in bytes: about the size of a short encrypted text in a real client. */
export const MESSAGE_BYTES = 512;

/** Makes JSON bodies for new messages. Only the id differs, so the load generator spends almost no CPU time on them. */
export function makeMessageBodies(): (id: string) => string {
  const ciphertext = randomBytes(MESSAGE_BYTES).toString('base64');
  return (id) => `{"id":"${id}","ciphertext":"${ciphertext}","epoch":0}`;
}

/** Bytes that follow from the message id, so that a log can be checked without remembering the sent messages. */
export function bytesOf(id: string): Buffer {
  const seed = createHash('sha256').update(id).digest();
  return Buffer.concat(Array.from({ length: MESSAGE_BYTES / seed.length }, () => seed));
}

/** The JSON body with the bytes of the id. */
export function bodyOf(id: string): string {
  return JSON.stringify({ id, ciphertext: bytesOf(id).toString('base64'), epoch: 0 });
}

/** The path for sending and reading messages of a conversation. */
export function messagesPath(conversation: string): string {
  return `/v1/conversations/${conversation}/messages`;
}
