import { z } from 'zod';
import { MAX_DEVICES_PER_CLAIM, MAX_KEY_PACKAGES_PER_UPLOAD } from '../../domain/limits.ts';
import { Base64, Bytes, ConversationIdInput, DeviceIdInput, UserIdInput } from './common.ts';

export const KeyPackageUpload = z
  .strictObject({
    keyPackages: z.array(Bytes).max(MAX_KEY_PACKAGES_PER_UPLOAD),
    lastResort: Bytes.optional().meta({ description: 'With the extension last_resort (10), which no other may have' }),
  })
  .meta({ id: 'KeyPackageUpload', description: 'Each an MLSMessage of wire format key_package' });

const Count = z.number().int().min(0);
const Available = Count.meta({ description: 'In store, the last resort not among them' });

export const KeyPackagesStored = z
  .object({
    stored: Count.meta({ description: 'That were not there before, the last resort among them' }),
    duplicates: Count.meta({ description: 'That this device uploaded before' }),
    available: Available,
  })
  .meta({ id: 'KeyPackagesStored' });

export const KeyPackageStock = z
  .object({
    available: Available,
    lastResort: z.boolean().meta({ description: 'Whether there is one that has not expired' }),
    lowStock: z.boolean().meta({ description: 'Whether it is time to upload more' }),
  })
  .meta({ id: 'KeyPackageStock' });

export const UserParams = z.object({ user: UserIdInput });

export const KeyPackageClaim = z
  .strictObject({
    conversation: ConversationIdInput.optional().meta({
      description: 'Binds the packages to this conversation, which need not exist yet',
    }),
    devices: z
      .array(DeviceIdInput)
      .min(1)
      .max(MAX_DEVICES_PER_CLAIM)
      .optional()
      .meta({ description: 'Only these; else all devices of the user' }),
    cipherSuite: z.number().int().min(1).max(0xffff).optional().meta({ description: 'RFC 9420 §17.1; else any' }),
  })
  .meta({ id: 'KeyPackageClaim' });

export const KeyPackagesClaimed = z
  .object({
    keyPackages: z.array(
      z.object({
        device: z.string(),
        keyPackage: Base64,
        ref: Base64.meta({ description: 'KeyPackageRef (RFC 9420 §5.2)' }),
        lastResort: z.boolean().meta({ description: 'Whether others may have got the same one' }),
      }),
    ),
    exhausted: z.array(z.string()).meta({ description: 'Devices that have none left' }),
  })
  .meta({ id: 'KeyPackagesClaimed' });
