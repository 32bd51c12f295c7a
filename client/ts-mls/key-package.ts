import type { CiphersuiteImpl, KeyPackage, PrivateKeyPackage } from 'ts-mls';
import { defaultCapabilities, generateKeyPackageWithKey, getCiphersuiteImpl } from 'ts-mls';
import type { CiphersuiteId } from 'ts-mls/crypto/ciphersuite.js';
import { getCiphersuiteFromId } from 'ts-mls/crypto/ciphersuite.js';
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js';
import { CIPHER_SUITE } from '../mls/mls-library.ts';
import type { LeafOwner } from '../mls/mls-library.ts';
import { toBase64 } from '../platform/bytes.ts';
import { decodeMessage } from './messages.ts';

/** A KeyPackage is valid from two hours before now, for clocks that are wrong, until four weeks after now. */
const LIFETIME_BEFORE_S = 2 * 3600;
const LIFETIME_AFTER_S = 28 * 24 * 3600;
/** KeyPackage extension `last_resort` (IANA registry of MLS extension types). */
const LAST_RESORT = 10;
/** A KeyPackage with its secrets, which never leave the device. It serves for one join. */
export interface TsKeyPackage {
  /** KeyPackageRef, base64 (RFC 9420 §5.2). */
  readonly ref: string;
  readonly publicPackage: KeyPackage;
  readonly privatePackage: PrivateKeyPackage;
  /** It may serve for several joins, when the device has no other KeyPackage left. */
  readonly isLastResort: boolean;
}

/**
 * A cipher suite by its number (RFC 9420 §17.1).
 * @throws Error if ts-mls does not know it, or lacks the package that computes it
 */
export async function loadSuite(id: number = CIPHER_SUITE): Promise<CiphersuiteImpl> {
  const definition = getCiphersuiteFromId(id as CiphersuiteId) as ReturnType<typeof getCiphersuiteFromId> | undefined;
  if (definition === undefined) throw new Error(`ts-mls does not know cipher suite ${id}`);
  return getCiphersuiteImpl(definition);
}

/** A new KeyPackage. The identity of its basic credential is the user id (RFC 9420 §5.3, §10). */
export async function makeKeyPackage(
  { user, signatureKeyPair }: LeafOwner,
  suite: CiphersuiteImpl,
  isLastResort = false,
): Promise<TsKeyPackage> {
  const now = Math.floor(Date.now() / 1000);
  const capabilities = defaultCapabilities();
  const { publicPackage, privatePackage } = await generateKeyPackageWithKey(
    { credentialType: 'basic', identity: new TextEncoder().encode(user) },
    { ...capabilities, extensions: [...capabilities.extensions, LAST_RESORT] },
    { notBefore: BigInt(now - LIFETIME_BEFORE_S), notAfter: BigInt(now + LIFETIME_AFTER_S) },
    isLastResort ? [{ extensionType: LAST_RESORT, extensionData: new Uint8Array() }] : [],
    signatureKeyPair,
    suite,
  );
  const ref = toBase64(await makeKeyPackageRef(publicPackage, suite.hash));
  return { ref, publicPackage, privatePackage, isLastResort };
}

/** @throws Error if it is no MLSMessage with a KeyPackage */
export function decodeKeyPackage(base64: string): KeyPackage {
  const message = decodeMessage(base64);
  if (message.wireformat !== 'mls_key_package') throw new Error('not a KeyPackage');
  return message.keyPackage;
}
