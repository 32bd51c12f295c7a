import { z } from 'zod';
import { MAX_USERS_PER_CLAIM } from '../../domain/limits.ts';
import { MISSING_CODES } from '../../store/key-package/group-claims.ts';
import { DeviceId, UserId, UserIdInput } from './common.ts';
import { ClaimedKeyPackage, KeyPackageClaim } from './key-packages.ts';

export const GroupClaim = z
  .strictObject({
    users: z.array(UserIdInput).min(1).max(MAX_USERS_PER_CLAIM).meta({ description: 'Whose key packages you need' }),
    ...KeyPackageClaim.pick({ conversation: true, cipherSuite: true }).shape,
  })
  .meta({ id: 'GroupClaim', description: 'A claim for many users at once' });

export const GroupClaimed = z
  .object({
    claimed: z
      .record(z.string(), z.array(ClaimedKeyPackage))
      .meta({ description: 'By user id: a package of each device that has one' }),
    exhausted: z
      .array(z.object({ user: UserId, device: DeviceId }))
      .meta({ description: 'Devices that have no key packages left' }),
    missing: z
      .array(
        z.object({
          user: UserId,
          code: z.enum(MISSING_CODES).meta({
            description:
              '`no-devices`: not known, or without other devices. `exhausted`: no device has a package. `consent-required`: the user has not consented, and gets a request. `rate-limited`: you took too many packages of one of its devices. `left-over`: the answer is full, ask again for these users',
          }),
          retryAfter: z.number().int().min(1).optional().meta({ description: 'Seconds. Only with `rate-limited`' }),
        }),
      )
      .meta({ description: 'Every user of whom nothing was claimed' }),
  })
  .meta({ id: 'GroupClaimed', description: 'Each user is in `claimed` or in `missing`' });
