import { z } from 'zod';
import { POLICY_NUMBERS, type PolicyBounds, type PolicyNumber, STRATEGIES } from '../../domain/supervision/policy.ts';
import { ConversationId, Time } from './common.ts';
import { TroubleDetails, troubleFacts } from './trouble.ts';

function numberOf({ standard, min, max, isWhole, meaning }: PolicyBounds): z.ZodDefault<z.ZodNumber> {
  const number = z.number().min(min).max(max);
  return (isWhole ? number.int() : number).default(standard).meta({ description: meaning });
}

const numbers = Object.fromEntries(
  Object.entries(POLICY_NUMBERS).map(([name, bounds]) => [name, numberOf(bounds)]),
) as Record<PolicyNumber, z.ZodDefault<z.ZodNumber>>;

/** What is left out has its default. */
export const SupervisorPolicy = z
  .strictObject({
    strategy: z
      .enum(STRATEGIES)
      .default('one-for-one')
      .meta({ description: '`one-for-one`: a conversation in trouble is restarted alone. `report-only`: none is' }),
    ...numbers,
  })
  .meta({ id: 'SupervisorPolicy', description: 'What the supervisor does, and when' });

export const SupervisorReport = z
  .object({
    running: z
      .boolean()
      .meta({ description: 'It signed a short while ago: within three of its rounds and 30 seconds' }),
    silentMs: z.number().int().optional().meta({ description: 'Since its last sign; absent = it never signed' }),
    degraded: z.boolean().meta({
      description: 'It restarts nothing: restarts did not help, or Postgres or all workers are away',
    }),
    policy: SupervisorPolicy,
    troubles: z
      .array(z.object({ conversation: ConversationId, ...troubleFacts, details: TroubleDetails }))
      .meta({ description: 'Signs of the last minute, the newest first; at most 500' }),
    actions: z
      .array(
        z.object({
          at: Time.meta({ description: 'When it did it' }),
          conversation: ConversationId.optional(),
          action: z.string().meta({ description: 'What it did' }),
          reason: z.string().meta({ description: 'Why' }),
          details: z
            .record(z.string(), z.unknown())
            .meta({ description: 'More about it; the fields depend on the action' }),
        }),
      )
      .meta({ description: 'What it did last, the newest first; at most 50. The audit trail has all' }),
  })
  .meta({ id: 'SupervisorReport', description: 'What the supervisor sees and did' });
