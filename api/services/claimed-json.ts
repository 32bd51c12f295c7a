import type { ClaimedKeyPackage } from '../../store/key-package/key-packages.ts';

/** A claimed package as JSON: bytes in base64. */
interface ClaimedJson {
  readonly device: string;
  readonly keyPackage: string;
  readonly ref: string;
  readonly lastResort: boolean;
}

/** A claimed package in an answer. */
export function claimedJson({ device, keyPackage, ref, lastResort }: ClaimedKeyPackage): ClaimedJson {
  return { device, keyPackage: keyPackage.toString('base64'), ref: ref.toString('base64'), lastResort };
}
