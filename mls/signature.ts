import { getCiphersuiteFromId } from 'ts-mls/crypto/ciphersuite.js';
import type { CiphersuiteId } from 'ts-mls/crypto/ciphersuite.js';
import { makeNobleSignatureImpl } from 'ts-mls/crypto/implementation/default/makeNobleSignatureImpl.js';
import { verifyWithLabel } from 'ts-mls/crypto/signature.js';
import type { Signature, SignatureAlgorithm } from 'ts-mls/crypto/signature.js';
import { DependencyError } from 'ts-mls/mlsError.js';
import { nativeVerify } from './native-verify.ts';

/** Result of a signature check. `unknown` = the service cannot verify this cipher suite. */
export type Verdict = 'valid' | 'invalid' | 'unknown';

/** The content, its signature, and the key that signed it. */
export interface Signed {
  /** Number of the cipher suite (RFC 9420 §17.1). */
  readonly cipherSuite: number;
  readonly publicKey: Uint8Array;
  readonly content: Uint8Array;
  readonly signature: Uint8Array;
}

const schemes = new Map<SignatureAlgorithm, Promise<Signature | undefined>>();

/** Verifies a signature: VerifyWithLabel (RFC 9420 §5.1.2). @param label without the prefix `MLS 1.0 ` */
export async function verifySignature(
  label: 'GroupInfoTBS' | 'KeyPackageTBS' | 'LeafNodeTBS',
  { cipherSuite, publicKey, content, signature }: Signed,
): Promise<Verdict> {
  const scheme = await schemeOf(cipherSuite);
  if (scheme === undefined) return 'unknown';
  try {
    return (await verifyWithLabel(publicKey, label, content, signature, scheme)) ? 'valid' : 'invalid';
  } catch {
    // The key or the signature has the wrong form for this scheme.
    return 'invalid';
  }
}

function schemeOf(cipherSuite: number): Promise<Signature | undefined> {
  const suite = getCiphersuiteFromId(cipherSuite as CiphersuiteId) as { signature: SignatureAlgorithm } | undefined;
  if (suite === undefined) return Promise.resolve(undefined);
  let scheme = schemes.get(suite.signature);
  if (scheme === undefined) schemes.set(suite.signature, (scheme = loadScheme(suite.signature)));
  return scheme;
}

async function loadScheme(algorithm: SignatureAlgorithm): Promise<Signature | undefined> {
  try {
    const scheme = await makeNobleSignatureImpl(algorithm);
    const verify = nativeVerify(algorithm);
    return verify === undefined ? scheme : { ...scheme, verify };
  } catch (error) {
    if (error instanceof DependencyError) return undefined;
    throw error;
  }
}
