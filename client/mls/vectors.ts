import { concatBytes } from '../platform/bytes.ts';

const SHORT = 0x40;
const MEDIUM = 0x4000;
const LONG = 0x4000_0000;

/** A vector of bytes as TLS presentation language writes it in MLS: its length, then its content (RFC 9420 §2.1.2). */
export function vector(content: Uint8Array): Uint8Array {
  return concatBytes(lengthOf(content.length), content);
}

/**
 * The vector that begins at `start`.
 * @returns `end`: index after it. `undefined`: there is no vector, or its length is not in its shortest form
 */
export function readVector(
  bytes: Uint8Array,
  start: number,
): { readonly content: Uint8Array; readonly end: number } | undefined {
  const first = bytes[start];
  if (first === undefined) return undefined;
  const width = 1 << (first >> 6);
  if (width > 4 || start + width > bytes.length) return undefined;
  let length = first & 0x3f;
  for (let i = 1; i < width; i++) length = length * 0x100 + (bytes[start + i] ?? 0);
  if ((width === 2 && length < SHORT) || (width === 4 && length < MEDIUM)) return undefined;
  const end = start + width + length;
  return end > bytes.length ? undefined : { content: bytes.slice(start + width, end), end };
}

function lengthOf(length: number): Uint8Array {
  if (length < SHORT) return Uint8Array.of(length);
  if (length < MEDIUM) return Uint8Array.of((length >> 8) | 0x40, length & 0xff);
  if (length >= LONG) throw new RangeError('a vector has less than 2^30 bytes');
  return Uint8Array.of((length >>> 24) | 0x80, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff);
}
