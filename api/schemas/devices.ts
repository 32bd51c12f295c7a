import { z } from 'zod';
import { PUSH_KINDS } from '../../domain/push.ts';
import { DeviceId, DeviceIdInput, Time } from './common.ts';

/** A device, as its user and operators see it. */
export const Device = z.object({
  device: DeviceId,
  createdAt: Time.meta({ description: 'Time of its first request' }),
  seenAt: Time.meta({ description: 'Time of its last request, exact to one hour' }),
  available: z.number().int().min(0).meta({ description: 'Key packages in store, without the last resort' }),
  lastResort: z.boolean().meta({ description: 'Whether it has a last resort that has not expired' }),
  push: z.enum(PUSH_KINDS).optional().meta({ description: 'How it is woken. Absent = it is not' }),
});

export const DeviceList = z
  .object({
    devices: z
      .array(Device.extend({ current: z.boolean().meta({ description: 'Whether this is the calling device' }) }))
      .meta({ description: 'At most 100' }),
  })
  .meta({ id: 'DeviceList', description: 'The devices of the user' });

export const DeviceParams = z.object({ device: DeviceIdInput });
