import { z } from 'zod';
import { CONVERSATION_PATHS } from '../../process/config.ts';
import { ConversationId, Incarnation, Time } from './common.ts';

const STATUSES = ['healthy', 'degraded', 'unhealthy'] as const;
/** Health of one part. */
export const checkOf = (part: string): z.ZodEnum<{ [S in (typeof STATUSES)[number]]: S }> =>
  z.enum(STATUSES).meta({ description: part });

export const Health = z
  .object({
    status: checkOf('The worst of all checks'),
    timestamp: Time.meta({ description: 'When it was checked' }),
    version: z.string().meta({ description: 'Release of the process that answers' }),
    build: z
      .string()
      .meta({ description: 'Commit or image that the process was built from; `unknown` if nobody said it' }),
    incarnation: Incarnation.optional(),
    reasons: z.array(z.string()).meta({ description: 'Why checks are not healthy: `check: reason`' }),
    checks: z
      .object({
        database: checkOf('PostgreSQL'),
        temporal: checkOf('Temporal, and the workers'),
        memory: checkOf('Memory of the process'),
        tokens: checkOf('Keys that verify tokens'),
        actors: z
          .object({
            active_actors: z.number().int().meta({ description: 'Conversations that the process works on now' }),
            status: checkOf('Their queues'),
            healthy: z.boolean().meta({ description: 'Whether `status` is `healthy`' }),
          })
          .meta({ description: 'Conversations' }),
      })
      .meta({ description: 'Each part on its own' }),
  })
  .meta({ id: 'Health', description: 'Health of the process that answers' });

export const RestoredRequest = z
  .strictObject({})
  .meta({ id: 'RestoredRequest', description: 'Nothing has to be said yet' });

export const Restored = z
  .object({ incarnation: Incarnation, since: Time.meta({ description: 'When it began' }) })
  .meta({ id: 'Restored', description: 'The incarnation that all processes go over to' });

export const Readiness = z
  .object({
    ready: z.boolean().meta({ description: 'Whether a balancer may send requests here' }),
    checks: z.record(z.string(), z.boolean()).meta({ description: 'What it depends on' }),
  })
  .meta({ id: 'Readiness', description: 'Whether the process serves requests' });

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
  .meta({ id: 'PathSetting', description: 'Which way operations take' });

export const PathState = PathSetting.extend({
  controller: z
    .strictObject({
      state: z.enum(['normal', 'limited', 'away']).meta({
        description:
          'What `auto` does in the process that answers. `limited`: Temporal has more than it carries in good time. `away`: it does not answer',
      }),
      since: Time.meta({ description: 'When this state began' }),
      limit: z.number().int().meta({ description: 'Workflow updates that may be in flight' }),
      inFlight: z.number().int().meta({ description: 'Workflow updates that are in flight' }),
      baselineMs: z.number().optional().meta({ description: 'Time of an update without load' }),
      updatesPerSecond: z.number().meta({ description: 'Answered workflow updates, of the last ten seconds' }),
      share: z.number().meta({ description: 'Part of the batches that took the workflow, of the last ten seconds' }),
      breaker: z
        .enum(['closed', 'open', 'half-open'])
        .meta({ description: '`open`: no operation takes the workflow. `half-open`: single ones try it' }),
      wedged: z
        .array(
          z.strictObject({
            conversation: ConversationId,
            since: Time.meta({ description: 'Since when its workflow has not answered' }),
            locked: z.boolean().meta({ description: 'Its row is locked in Postgres, so its workflow may be well' }),
          }),
        )
        .meta({ description: 'Conversations whose workflows do not answer: they go the direct way' }),
    })
    .meta({ id: 'PathController', description: 'What `auto` sees and does' }),
}).meta({ id: 'PathState', description: 'The setting, and what the process that answers makes of it' });
