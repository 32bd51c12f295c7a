import type { z } from 'zod';
import type { ClaimedKeyPackage } from '../../store/key-package/key-packages.ts';
import type { ClaimedKeyPackage as ClaimedKeyPackageSchema } from '../schemas/key-packages.ts';

/** A claimed package in an answer. */
export function claimedJson({
  device,
  keyPackage,
  ref,
  lastResort,
}: ClaimedKeyPackage): z.output<typeof ClaimedKeyPackageSchema> {
  return { device, keyPackage: keyPackage.toString('base64'), ref: ref.toString('base64'), lastResort };
}
