import { fromBase64, toBase64Url } from '../platform/bytes.ts';

/** A place in a log: an entry, and the value that stands for the log up to it. */
export interface ChainPosition {
  readonly seq: number;
  /** Base64 of 32 bytes. */
  readonly chain: string;
}

/** Bytes of the value that a position has in texts. */
const TEXT_BYTES = 12;

/** A position as requests and answers have it: `<seq>.<first 12 bytes of the value, base64url>`. */
export function positionText({ seq, chain }: ChainPosition): string {
  return `${seq}.${toBase64Url(fromBase64(chain).subarray(0, TEXT_BYTES))}`;
}
