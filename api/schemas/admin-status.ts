import { z } from 'zod';
import { PROCESS_KINDS } from '../../store/process/processes.ts';
import { ConversationId, Time } from './common.ts';
import { PathState, checkOf } from './operations.ts';
import { troubleFacts } from './trouble.ts';

const Count = z.number().int().min(0);
const Milliseconds = z.number().int().min(0).meta({ description: 'Milliseconds' });

export const DrainState = z
  .object({
    drained: z.boolean().meta({ description: 'Whether the workflow path is out of use' }),
    since: Time.optional().meta({ description: 'Since when' }),
    by: z.string().optional().meta({ description: 'User id of the operator' }),
    running: Count.optional().meta({
      description: 'Runs of conversations, as the list of Temporal shows them. Absent while Temporal does not answer',
    }),
    ended: Count.optional().meta({ description: 'Runs that this request asked to end' }),
  })
  .meta({ id: 'DrainState', description: 'Whether and how far the workflow path is empty' });

export const DrainStep = z
  .strictObject({
    terminate: z
      .boolean()
      .default(false)
      .meta({ description: 'End runs at once, also those that do not answer. Nothing that was acknowledged is lost' }),
    limit: z.number().int().min(1).max(500).default(200).meta({ description: 'Runs of this step' }),
  })
  .meta({ id: 'DrainStep', description: 'One step of the drain' });

export const ServiceStatus = z
  .object({
    at: Time.meta({ description: 'When it was looked at' }),
    version: z.string().meta({ description: 'Of the process that answers' }),
    checks: z
      .object({
        database: checkOf('PostgreSQL'),
        temporal: checkOf('Temporal, and the workers'),
        memory: checkOf('Memory of the process'),
        actors: checkOf('Queues of the conversations'),
      })
      .meta({ description: 'Health of the process that answers' }),
    findings: z
      .array(
        z.object({
          code: z.string().meta({ description: 'Stable name of the finding' }),
          severity: z.enum(['problem', 'note']).meta({ description: '`problem`: somebody should act' }),
          text: z.string().meta({ description: 'What is wrong, for people' }),
          hint: z.string().optional().meta({ description: 'What to look at, or to do, next' }),
        }),
      )
      .meta({ description: 'What is wrong, the worst first; empty = nothing that the service can see' }),
    processes: z
      .array(
        z.object({
          id: z.string().meta({ description: 'Id of the process' }),
          kind: z.enum(PROCESS_KINDS).meta({ description: 'What the process does' }),
          version: z.string().meta({ description: 'Its release' }),
          build: z.string().meta({ description: 'Commit or image that it was built from' }),
          taskQueue: z.string().meta({ description: 'Task queue of its workflows' }),
          startedAt: Time.meta({ description: 'When it began' }),
          silentMs: Milliseconds.meta({ description: 'Milliseconds since its last sign of life' }),
          state: z.enum(['live', 'silent', 'gone']).meta({
            description: '`silent`: no sign of life for some rounds. `gone`: none for so long that it counts no more',
          }),
          facts: z.record(z.string(), z.unknown()).meta({ description: 'What it says of itself' }),
        }),
      )
      .meta({ description: 'Processes of the service' }),
    path: PathState,
    drain: DrainState.optional(),
    queue: z
      .object({
        depth: Count.meta({ description: 'Operations that wait' }),
        oldestWaitMs: Milliseconds.meta({ description: 'Age of the oldest of them, milliseconds' }),
        activeConversations: Count.meta({ description: 'Conversations that are worked on' }),
        openStreams: Count.meta({ description: 'Streams that are open' }),
        diversions: z
          .record(z.string(), Count)
          .meta({ description: 'Batches on the direct path although the workflow is preferred, by reason' }),
      })
      .meta({ description: 'Sums over all API processes that live; diversions since their start' }),
    temporal: z
      .object({
        pollers: z
          .array(
            z.object({
              identity: z.string().meta({ description: 'What the worker calls itself' }),
              silentMs: Milliseconds.meta({ description: 'Milliseconds since it polled last' }),
            }),
          )
          .meta({ description: 'Workers that Temporal sees' }),
        running: Count.meta({ description: 'Runs of conversations' }),
        failed: Count.meta({ description: 'Runs that failed within the last hour' }),
      })
      .optional()
      .meta({ description: 'Absent while Temporal does not answer' }),
    database: z
      .object({
        version: z.string().meta({ description: 'Version of PostgreSQL' }),
        connections: Count.meta({ description: 'Open sessions' }),
        maxConnections: Count.meta({ description: 'Sessions that the server admits' }),
        waitingForLocks: Count.meta({ description: 'Sessions that wait for a lock' }),
        standbys: Count.meta({ description: 'Standbys that follow now' }),
        waitsForStandby: z.boolean().meta({
          description: 'Whether commits wait for a standby: then a failover loses nothing that was acknowledged',
        }),
        oldestTransaction: z
          .object({
            ms: Milliseconds.meta({ description: 'Its age, milliseconds' }),
            pid: z.number().int().meta({ description: 'Process id in the database server' }),
            application: z.string().meta({ description: 'What the session calls itself' }),
            state: z.string().meta({ description: 'Of its session: active, idle in transaction and so on' }),
          })
          .optional()
          .meta({ description: 'The transaction that is open longest. Absent = none' }),
        overdue: Count.meta({ description: 'Conversations whose timer is late by 5 minutes; counted up to 1000' }),
      })
      .optional()
      .meta({ description: 'Absent while PostgreSQL does not answer' }),
    troubles: z
      .object({
        more: z.boolean().meta({ description: 'There are more than these' }),
        newest: z
          .array(z.object({ conversation: ConversationId, ...troubleFacts }))
          .meta({ description: 'Those that were seen last' }),
      })
      .meta({ description: 'Signs of trouble within the last 10 minutes, those seen last first' }),
  })
  .meta({ id: 'ServiceStatus', description: 'What an operator needs to know of the whole service' });
