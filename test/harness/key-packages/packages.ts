import { randomBytes } from 'node:crypto';
import type { NewKeyPackage } from '../../../store/key-package/key-packages.ts';

/** A key package whose bytes nobody looks at. */
export function newKeyPackage(more: Partial<NewKeyPackage> = {}): NewKeyPackage {
  const notAfter = new Date(Date.now() + 86_400_000);
  return { ref: randomBytes(32), bytes: Buffer.from('bytes'), cipherSuite: 1, lastResort: false, notAfter, ...more };
}
