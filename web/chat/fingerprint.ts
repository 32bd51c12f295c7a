import { fromBase64 } from '../../client/index.ts';

/**
 * Bytes as groups of four hexadecimal digits, which two people can read to each other.
 * @param bytes base64
 * @param most groups at most: a few of the first already say that all is the same
 */
export function fingerprintGroups(bytes: string, most = Infinity): string[] {
  const hex = Array.from(fromBase64(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
  return (hex.match(/.{1,4}/g) ?? []).slice(0, most);
}

/** A device for people: the beginning of its signature key. */
export function shortKey(key: string): string {
  return fingerprintGroups(key, 2).join(' ');
}
