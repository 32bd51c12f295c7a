import { z } from 'zod';
import { MAX_DEVICES_PER_CLAIM, MAX_KEY_PACKAGES_PER_UPLOAD } from '../../domain/limits.ts';
import { Base64, Bytes, ConversationIdInput, DeviceId, DeviceIdInput, UserIdInput } from './common.ts';

export const KeyPackageUpload = z
  .strictObject({
    keyPackages: z
      .array(Bytes)
      .max(MAX_KEY_PACKAGES_PER_UPLOAD)
      .meta({ description: 'Key packages that are handed out once each, as MLSMessages of wire format key_package' }),
    lastResort: Bytes.optional().meta({
      description: 'Key package with the extension last_resort (10). Other key packages must not have this extension',
    }),
  })
  .meta({ id: 'KeyPackageUpload', description: 'Key packages of the calling device' });

const Count = z.number().int().min(0);
const Available = Count.meta({ description: 'Key packages in store, without the last resort' });

export const KeyPackagesStored = z
  .object({
    stored: Count.meta({ description: 'Key packages that are new, including the last resort' }),
    duplicates: Count.meta({ description: 'Key packages that this device uploaded earlier' }),
    available: Available,
  })
  .meta({ id: 'KeyPackagesStored', description: 'What an upload has stored' });

export const KeyPackageStock = z
  .object({
    available: Available,
    lastResort: z.boolean().meta({ description: 'Whether there is a last resort that has not expired' }),
    lowStock: z.boolean().meta({ description: 'Whether it is time to upload more' }),
  })
  .meta({ id: 'KeyPackageStock', description: 'The key packages that the calling device has in store' });

export const UserParams = z.object({ user: UserIdInput });

export const KeyPackageClaim = z
  .strictObject({
    conversation: ConversationIdInput.optional().meta({
      description: 'The packages are only for this conversation. It need not exist yet',
    }),
    devices: z
      .array(DeviceIdInput)
      .min(1)
      .max(MAX_DEVICES_PER_CLAIM)
      .optional()
      .meta({ description: 'Only these devices. Default: all devices of the user' }),
    cipherSuite: z
      .number()
      .int()
      .min(1)
      .max(0xffff)
      .optional()
      .meta({ description: 'Cipher suite (RFC 9420 §17.1). Default: any' }),
  })
  .meta({ id: 'KeyPackageClaim', description: 'Which key packages you need' });

export const ClaimedKeyPackage = z.object({
  device: DeviceId,
  keyPackage: Base64.meta({ description: 'The key package, an MLSMessage of wire format key_package' }),
  ref: Base64.meta({ description: 'KeyPackageRef (RFC 9420 §5.2)' }),
  lastResort: z.boolean().meta({ description: 'Whether it is a last resort, which others may get too' }),
});

export const KeyPackagesClaimed = z
  .object({
    keyPackages: z.array(ClaimedKeyPackage).meta({ description: 'One of each device that has one' }),
    exhausted: z.array(z.string()).meta({ description: 'Devices that have no key packages left' }),
  })
  .meta({ id: 'KeyPackagesClaimed', description: 'Key packages of one user. They are yours for 24 hours' });
