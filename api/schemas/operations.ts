import { z } from 'zod';
import { CONVERSATION_PATHS } from '../../process/config.ts';
import { Incarnation, Time } from './common.ts';

export const CheckStatus = z.enum(['healthy', 'degraded', 'unhealthy']);

export const Health = z
  .object({
    status: CheckStatus,
    timestamp: Time,
    version: z.string(),
    build: z
      .string()
      .meta({ description: 'Commit or image that the process was built from; `unknown` if nobody said it' }),
    incarnation: Incarnation.optional(),
    reasons: z.array(z.string()).meta({ description: 'Why checks are not healthy: `check: reason`' }),
    checks: z.object({
      database: CheckStatus,
      temporal: CheckStatus,
      memory: CheckStatus,
      tokens: CheckStatus.meta({ description: 'Keys that verify tokens' }),
      actors: z.object({ active_actors: z.number().int(), status: CheckStatus, healthy: z.boolean() }),
    }),
  })
  .meta({ id: 'Health' });

/** Nothing has to be said yet. */
export const RestoredRequest = z.strictObject({}).meta({ id: 'RestoredRequest' });

export const Restored = z.object({ incarnation: Incarnation, since: Time }).meta({ id: 'Restored' });

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

export const PathState = PathSetting.extend({
  controller: z
    .strictObject({
      state: z.enum(['normal', 'limited', 'away']).meta({
        description:
          'What `auto` does in the process that answers. `limited`: Temporal has more than it carries in good time. `away`: it does not answer',
      }),
      since: Time,
      limit: z.number().int().meta({ description: 'Workflow updates that may be in flight' }),
      inFlight: z.number().int(),
      baselineMs: z.number().optional().meta({ description: 'Time of an update without load' }),
      updatesPerSecond: z.number(),
      share: z.number().meta({ description: 'Part of the batches that took the workflow, of the last ten seconds' }),
      breaker: z.enum(['closed', 'open', 'half-open']),
      wedged: z.array(
        z.strictObject({
          conversation: z.string(),
          since: Time,
          locked: z.boolean().meta({ description: 'Its row is locked in Postgres, so its workflow may be well' }),
        }),
      ),
    })
    .meta({ id: 'PathController' }),
}).meta({ id: 'PathState' });
