import { type KeyObject, createPublicKey, verify } from 'node:crypto';
import type { Signature, SignatureAlgorithm } from 'ts-mls/crypto/signature.js';

/** A signature algorithm of node:crypto: the content of its AlgorithmIdentifier in hex, and the hash for ECDSA. */
interface NativeAlgorithm {
  readonly identifier: string;
  /** `null` = EdDSA, which has its own hash. */
  readonly hash: string | null;
}

const EC_PUBLIC_KEY = '06072a8648ce3d0201';
/** Object identifiers of RFC 5480 §2.1.1.1 and RFC 8410 §3. */
const ALGORITHMS: Readonly<Partial<Record<SignatureAlgorithm, NativeAlgorithm>>> = {
  P256: { identifier: `${EC_PUBLIC_KEY}06082a8648ce3d030107`, hash: 'sha256' },
  P384: { identifier: `${EC_PUBLIC_KEY}06052b81040022`, hash: 'sha384' },
  P521: { identifier: `${EC_PUBLIC_KEY}06052b81040023`, hash: 'sha512' },
  Ed448: { identifier: '06032b6571', hash: null },
};

const SEQUENCE = 0x30;
const BIT_STRING = 0x03;

/**
 * Verifies signatures with node:crypto instead of the JavaScript code in ts-mls. The JavaScript code blocks the event
 * loop for up to 15 ms per signature; the native code runs in another thread and is many times faster. Accepts
 * compressed points too: ts-mls creates them, although RFC 9420 §5.1.1 does not allow them.
 * @returns `undefined` if ts-mls already uses native code, or node:crypto has no native code for this algorithm
 */
export function nativeVerify(algorithm: SignatureAlgorithm): Signature['verify'] | undefined {
  const native = ALGORITHMS[algorithm];
  if (native === undefined) return undefined;
  const identifier = der(SEQUENCE, Buffer.from(native.identifier, 'hex'));
  return (publicKey, message, signature) =>
    new Promise((resolve, reject) => {
      const key = { key: importKey(identifier, publicKey), dsaEncoding: 'der' } as const;
      verify(native.hash, message, key, signature, (error, isValid) => {
        if (error === null) resolve(isValid);
        else reject(error);
      });
    });
}

/** @throws Error if the bytes are not a point of the curve */
function importKey(identifier: Buffer, publicKey: Uint8Array): KeyObject {
  // The first byte of a bit string is the number of its unused bits.
  const spki = der(SEQUENCE, identifier, der(BIT_STRING, Buffer.of(0), publicKey));
  return createPublicKey({ key: spki, format: 'der', type: 'spki' });
}

/** Tag, length and value (X.690 §8.1), up to 255 bytes. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(parts);
  const length = value.length < 0x80 ? [value.length] : [0x81, value.length];
  return Buffer.concat([Buffer.of(tag, ...length), value]);
}
