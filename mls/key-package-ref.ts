import type { KeyPackage } from './frame.ts';
import { suiteOf } from './suite.ts';
import { vector } from './vector.ts';

const LABEL = vector(Buffer.from('MLS 1.0 KeyPackage Reference'));

/**
 * KeyPackageRef (RFC 9420 §5.2) as lower-case hex. `undefined` = unknown cipher suite, so the hash algorithm is
 * unknown.
 */
export function keyPackageRef({ cipherSuite, bytes }: KeyPackage): string | undefined {
  return suiteOf(cipherSuite)?.hash(LABEL, vector(bytes)).toString('hex');
}
