import { diffieHellman, generateKeyPairSync, hash } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { type CiphersuiteId, getCiphersuiteFromId } from 'ts-mls/crypto/ciphersuite.js';
import type { HashAlgorithm } from 'ts-mls/crypto/hash.js';
import type { KemAlgorithm } from 'ts-mls/crypto/kem.js';
import type { SignatureAlgorithm } from 'ts-mls/crypto/signature.js';
import { importPublicKey } from './native-keys.ts';

/** A cipher suite, as far as somebody without secrets needs it (RFC 9420 §5.1). */
export interface Suite {
  /** Number of the cipher suite (RFC 9420 §17.1). */
  readonly id: number;
  readonly signature: SignatureAlgorithm;
  /** The hash function of the suite. */
  readonly hash: (...parts: readonly Uint8Array[]) => Buffer;
  /** Whether the bytes are an HPKE public key: right length, and on the curve. */
  readonly isPublicKey: (key: Uint8Array) => boolean;
}

/** Length of a public key in bytes (RFC 9180 §7.1, FIPS 203, X-Wing). */
const KEY_BYTES: Readonly<Record<KemAlgorithm, number>> = {
  'DHKEM-X25519-HKDF-SHA256': 32,
  'DHKEM-P256-HKDF-SHA256': 65,
  'DHKEM-X448-HKDF-SHA512': 56,
  'DHKEM-P521-HKDF-SHA512': 133,
  'DHKEM-P384-HKDF-SHA384': 97,
  'ML-KEM-512': 800,
  'ML-KEM-768': 1184,
  'ML-KEM-1024': 1568,
  'X-Wing': 1216,
};
const CURVES: Readonly<Partial<Record<KemAlgorithm, 'X25519' | 'X448' | 'P256' | 'P384' | 'P521'>>> = {
  'DHKEM-X25519-HKDF-SHA256': 'X25519',
  'DHKEM-P256-HKDF-SHA256': 'P256',
  'DHKEM-X448-HKDF-SHA512': 'X448',
  'DHKEM-P521-HKDF-SHA512': 'P521',
  'DHKEM-P384-HKDF-SHA384': 'P384',
};

const suites = new Map<number, Suite>();

/** The cipher suite with this number. `undefined` = the service does not know it. */
export function suiteOf(id: number): Suite | undefined {
  const known = suites.get(id);
  if (known !== undefined) return known;
  const definition = getCiphersuiteFromId(id as CiphersuiteId) as ReturnType<typeof getCiphersuiteFromId> | undefined;
  if (definition === undefined) return undefined;
  const algorithm = nameOf(definition.hash);
  const { kem } = definition.hpke;
  const suite: Suite = {
    id,
    signature: definition.signature,
    // As a string, because a buffer of its own for each result takes twice the time.
    hash: (...parts) =>
      Buffer.from(hash(algorithm, parts.length === 1 ? (parts[0] ?? '') : Buffer.concat(parts), 'binary'), 'latin1'),
    isPublicKey: (key) => key.length === KEY_BYTES[kem] && isOnCurve(kem, key),
  };
  suites.set(id, suite);
  return suite;
}

function nameOf(algorithm: HashAlgorithm): string {
  return algorithm.replace('-', '').toLowerCase();
}

function isOnCurve(kem: KemAlgorithm, key: Uint8Array): boolean {
  const curve = CURVES[kem];
  if (curve === undefined) return true;
  try {
    const publicKey = importPublicKey(curve, key);
    if (curve === 'X25519' || curve === 'X448') refuseLowOrder(curve, publicKey);
    return true;
  } catch {
    return false;
  }
}

const probes = new Map<string, KeyObject>();

/** With a point of low order the shared secret is zero for everybody (RFC 7748 §6.1). @throws Error for such a point */
function refuseLowOrder(curve: 'X25519' | 'X448', publicKey: KeyObject): void {
  let privateKey = probes.get(curve);
  if (privateKey === undefined) {
    privateKey = curve === 'X25519' ? generateKeyPairSync('x25519').privateKey : generateKeyPairSync('x448').privateKey;
    probes.set(curve, privateKey);
  }
  diffieHellman({ privateKey, publicKey });
}
