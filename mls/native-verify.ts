import { type VerifyKeyObjectInput, verify } from 'node:crypto';
import type { SignatureAlgorithm } from 'ts-mls/crypto/signature.js';
import { importPublicKey } from './native-keys.ts';

/**
 * Signature verification of node:crypto instead of the JavaScript code in ts-mls, which needs up to 15 ms for a signature.
 * Signatures of ECDSA are in DER (RFC 9420 §5.1.1).
 */
export interface NativeVerify {
  /** Verifies in another thread of libuv, so that the event loop does not wait. @throws Error if the key is malformed */
  readonly later: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => Promise<boolean>;
  /** Verifies in this thread: about 0.1 ms. @throws Error if the key is malformed */
  readonly now: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;
}

type NativeAlgorithm = Exclude<SignatureAlgorithm, 'ML-DSA-87'>;

/** The hash for ECDSA; `null` = EdDSA, which has its own hash. */
const HASHES: Readonly<Record<NativeAlgorithm, string | null>> = {
  P256: 'sha256',
  P384: 'sha384',
  P521: 'sha512',
  Ed25519: null,
  Ed448: null,
};

/** @returns `undefined` if node:crypto has no code for this algorithm */
export function nativeVerify(algorithm: SignatureAlgorithm): NativeVerify | undefined {
  if (algorithm === 'ML-DSA-87') return undefined;
  const hash = HASHES[algorithm];
  const keyOf = (publicKey: Uint8Array): VerifyKeyObjectInput => ({
    key: importPublicKey(algorithm, publicKey),
    dsaEncoding: 'der',
  });
  return {
    later: (publicKey, message, signature) =>
      new Promise((resolve, reject) => {
        verify(hash, message, keyOf(publicKey), signature, (error, isValid) => {
          if (error === null) resolve(isValid);
          else reject(error);
        });
      }),
    now: (publicKey, message, signature) => verify(hash, message, keyOf(publicKey), signature),
  };
}
