import { z } from 'zod';
import { CONVERSATION_PATHS } from '../../process/config.ts';
import { Time } from './common.ts';

export const CheckStatus = z.enum(['healthy', 'degraded', 'unhealthy']);

export const Health = z
  .object({
    status: CheckStatus,
    timestamp: Time,
    version: z.string(),
    checks: z.object({
      database: CheckStatus,
      temporal: CheckStatus,
      memory: CheckStatus,
      actors: z.object({ active_actors: z.number().int(), status: CheckStatus, healthy: z.boolean() }),
    }),
  })
  .meta({ id: 'Health' });

export const Readiness = z
  .object({ ready: z.boolean(), checks: z.record(z.string(), z.boolean()) })
  .meta({ id: 'Readiness' });

export const PathSetting = z
  .strictObject({
    path: z.enum(CONVERSATION_PATHS).meta({ description: 'Execution path of operations' }),
    rollout: z
      .number()
      .int()
      .min(0)
      .max(100)
      .default(100)
      .meta({ description: 'Percentage of conversations that take this path. The others take the other path' }),
  })
  .meta({ id: 'PathSetting' });
