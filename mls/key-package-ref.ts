import { hash } from 'node:crypto';
import { getCiphersuiteFromId } from 'ts-mls/crypto/ciphersuite.js';
import type { CiphersuiteId } from 'ts-mls/crypto/ciphersuite.js';
import type { HashAlgorithm } from 'ts-mls/crypto/hash.js';
import type { KeyPackage } from './frame.ts';
import { vector } from './vector.ts';

const LABEL = vector(Buffer.from('MLS 1.0 KeyPackage Reference'));

/**
 * KeyPackageRef (RFC 9420 §5.2) as lower-case hex. `undefined` = unknown cipher suite, so the hash algorithm is
 * unknown.
 */
export function keyPackageRef({ cipherSuite, bytes }: KeyPackage): string | undefined {
  const suite = getCiphersuiteFromId(cipherSuite as CiphersuiteId) as { hash: HashAlgorithm } | undefined;
  if (suite === undefined) return undefined;
  return hash(suite.hash.replace('-', '').toLowerCase(), Buffer.concat([LABEL, vector(bytes)]), 'hex');
}
