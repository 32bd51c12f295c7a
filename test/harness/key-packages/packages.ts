import { randomBytes } from 'node:crypto';
import type { NewKeyPackage } from '../../../store/key-package/key-packages.ts';

/** A key package whose bytes nobody looks at. */
export function newKeyPackage(more: Partial<NewKeyPackage> = {}): NewKeyPackage {
  const notAfter = new Date(Date.now() + 86_400_000);
  const keys = { init: randomBytes(32), encryption: randomBytes(32), signature: randomBytes(32) };
  const content = {
    bytes: Buffer.from('bytes'),
    cipherSuite: 1,
    lastResort: false,
    notAfter,
    keys,
    leafNode: randomBytes(32),
  };
  return { ref: randomBytes(32), ...content, ...more };
}
