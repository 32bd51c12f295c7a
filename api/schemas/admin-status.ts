import { z } from 'zod';
import { TROUBLE_SIGNS } from '../../domain/trouble.ts';
import { PROCESS_KINDS } from '../../store/process/processes.ts';
import { Time } from './common.ts';
import { CheckStatus, PathState } from './operations.ts';

const Count = z.number().int().min(0);
const Milliseconds = z.number().int().min(0).meta({ description: 'Milliseconds' });

export const DrainState = z
  .object({
    drained: z.boolean().meta({ description: 'Whether the workflow path is out of use' }),
    since: Time.optional(),
    by: z.string().optional().meta({ description: 'User id of the operator' }),
    running: Count.optional().meta({
      description: 'Runs of conversations, as the list of Temporal shows them. Absent while Temporal does not answer',
    }),
    ended: Count.optional().meta({ description: 'Runs that this request asked to end' }),
  })
  .meta({ id: 'DrainState' });

export const DrainStep = z
  .strictObject({
    terminate: z
      .boolean()
      .default(false)
      .meta({ description: 'End runs at once, also those that do not answer. Nothing that was acknowledged is lost' }),
    limit: z.number().int().min(1).max(500).default(200).meta({ description: 'Runs of this step' }),
  })
  .meta({ id: 'DrainStep' });

export const ServiceStatus = z
  .object({
    at: Time,
    version: z.string().meta({ description: 'Of the process that answers' }),
    checks: z
      .object({ database: CheckStatus, temporal: CheckStatus, memory: CheckStatus, actors: CheckStatus })
      .meta({ description: 'Health of the process that answers' }),
    findings: z
      .array(
        z.object({
          code: z.string(),
          severity: z.enum(['problem', 'note']),
          text: z.string(),
          hint: z.string().optional().meta({ description: 'What to look at, or to do, next' }),
        }),
      )
      .meta({ description: 'What is wrong, the worst first; empty = nothing that the service can see' }),
    processes: z.array(
      z.object({
        id: z.string(),
        kind: z.enum(PROCESS_KINDS),
        version: z.string(),
        build: z.string(),
        taskQueue: z.string(),
        startedAt: Time,
        silentMs: Milliseconds.meta({ description: 'Milliseconds since its last sign of life' }),
        state: z.enum(['live', 'silent', 'gone']),
        facts: z.record(z.string(), z.unknown()),
      }),
    ),
    path: PathState,
    drain: DrainState.optional(),
    queue: z
      .object({
        depth: Count.meta({ description: 'Operations that wait' }),
        oldestWaitMs: Milliseconds,
        activeConversations: Count,
        openStreams: Count,
        diversions: z
          .record(z.string(), Count)
          .meta({ description: 'Batches on the direct path although the workflow is preferred, by reason' }),
      })
      .meta({ description: 'Sums over all API processes that live; diversions since their start' }),
    temporal: z
      .object({
        pollers: z.array(z.object({ identity: z.string(), silentMs: Milliseconds })),
        running: Count.meta({ description: 'Runs of conversations' }),
        failed: Count.meta({ description: 'Runs that failed within the last hour' }),
      })
      .optional()
      .meta({ description: 'Absent while Temporal does not answer' }),
    database: z
      .object({
        version: z.string(),
        connections: Count,
        maxConnections: Count,
        waitingForLocks: Count.meta({ description: 'Sessions that wait for a lock' }),
        standbys: Count.meta({ description: 'Standbys that follow now' }),
        waitsForStandby: z.boolean().meta({
          description: 'Whether commits wait for a standby: then a failover loses nothing that was acknowledged',
        }),
        oldestTransaction: z
          .object({ ms: Milliseconds, pid: z.number().int(), application: z.string(), state: z.string() })
          .optional(),
        overdue: Count.meta({ description: 'Conversations whose timer is late by 5 minutes; counted up to 1000' }),
      })
      .optional()
      .meta({ description: 'Absent while PostgreSQL does not answer' }),
    troubles: z
      .object({
        more: z.boolean().meta({ description: 'There are more than these' }),
        newest: z.array(
          z.object({
            conversation: z.string(),
            sign: z.enum(TROUBLE_SIGNS),
            firstAt: Time,
            lastAt: Time,
            seen: Count,
          }),
        ),
      })
      .meta({ description: 'Signs of trouble within the last 10 minutes, those seen last first' }),
  })
  .meta({ id: 'ServiceStatus' });
