import type { MLSMessage, MlsMessageContent } from 'ts-mls';
import { decodeMlsMessage, encodeMlsMessage } from 'ts-mls';
import { fromBase64, toBase64 } from '../platform/bytes.ts';

/** Base64 of an MLSMessage (RFC 9420 §6), the form in which all MLS objects travel. */
export function encodeMessage(content: MlsMessageContent): string {
  return toBase64(encodeMlsMessage({ version: 'mls10', ...content }));
}

/** @throws Error if `base64` is not exactly one MLSMessage */
export function decodeMessage(base64: string): MLSMessage {
  const bytes = fromBase64(base64);
  const decoded = decodeMlsMessage(bytes, 0);
  if (decoded?.[1] !== bytes.length) throw new Error('not exactly one MLSMessage');
  return decoded[0];
}
