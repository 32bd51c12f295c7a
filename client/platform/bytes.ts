import { createHash, randomUUID } from 'node:crypto';

/** Standard base64, as bytes travel in JSON. */
export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

export function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

/** base64url without padding: a conversation id is that of the MLS group_id (RFC 9420 §8.1). */
export function toBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

/** Lower-case hex, as in `winner.sha256` of an epoch conflict. */
export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A fresh id for one message or operation; every retry of it uses the same one. */
export function newId(): string {
  return randomUUID();
}
