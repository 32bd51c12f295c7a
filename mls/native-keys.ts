import { type JsonWebKey, type KeyObject, createPublicKey } from 'node:crypto';

/** A curve of node:crypto: the content of its AlgorithmIdentifier in hex (RFC 5480 §2.1.1.1, RFC 8410 §3). */
const EC_PUBLIC_KEY = '06072a8648ce3d0201';
const IDENTIFIERS = {
  P256: `${EC_PUBLIC_KEY}06082a8648ce3d030107`,
  P384: `${EC_PUBLIC_KEY}06052b81040022`,
  P521: `${EC_PUBLIC_KEY}06052b81040023`,
  X25519: '06032b656e',
  X448: '06032b656f',
  Ed25519: '06032b6570',
  Ed448: '06032b6571',
} as const;

export type Curve = keyof typeof IDENTIFIERS;

const SEQUENCE = 0x30;
const BIT_STRING = 0x03;
/** First byte of an uncompressed point (SEC 1 §2.3.3). */
const UNCOMPRESSED = 4;
/** First bytes of all points that may be. OpenSSL reads 6 and 7 too, which other MLS libraries do not. */
const POINTS: ReadonlySet<number | undefined> = new Set([2, 3, UNCOMPRESSED]);

/**
 * A raw public key for node:crypto. Accepts compressed points too: ts-mls creates them, although RFC 9420 §5.1.1 does not
 * allow them.
 * @throws Error if the bytes are not a point of the curve
 */
export function importPublicKey(curve: Curve, publicKey: Uint8Array): KeyObject {
  if (curve.startsWith('P') && !POINTS.has(publicKey[0])) throw new Error('This form of a point is not allowed');
  const jwk = asJwk(curve, publicKey);
  if (jwk !== undefined) return createPublicKey({ key: jwk, format: 'jwk' });
  const identifier = der(SEQUENCE, Buffer.from(IDENTIFIERS[curve], 'hex'));
  // The first byte of a bit string is the number of its unused bits.
  const spki = der(SEQUENCE, identifier, der(BIT_STRING, Buffer.of(0), publicKey));
  return createPublicKey({ key: spki, format: 'der', type: 'spki' });
}

/**
 * OpenSSL reads these as JWK up to ten times faster than as DER. For P-384 and P-521 it is the other way round: a JWK costs a
 * multiplication on the curve. `undefined` = one of those, or a compressed point, which a JWK cannot hold.
 */
function asJwk(curve: Curve, publicKey: Uint8Array): JsonWebKey | undefined {
  const base64url = (bytes: Uint8Array): string =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
  if (curve === 'P384' || curve === 'P521') return undefined;
  if (curve !== 'P256') return { kty: 'OKP', crv: curve, x: base64url(publicKey) };
  if (publicKey[0] !== UNCOMPRESSED || publicKey.length % 2 === 0) return undefined;
  const half = (publicKey.length + 1) / 2;
  const point = { x: base64url(publicKey.subarray(1, half)), y: base64url(publicKey.subarray(half)) };
  return { kty: 'EC', crv: 'P-256', ...point };
}

/** Tag, length and value (X.690 §8.1), up to 255 bytes. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(parts);
  const length = value.length < 0x80 ? [value.length] : [0x81, value.length];
  return Buffer.concat([Buffer.of(tag, ...length), value]);
}
