import type pg from 'pg';
import type { SubmitIncrement } from '../../dispatch/increments.ts';
import { statedPosition } from '../../domain/position.ts';
import { acknowledgeWake } from '../../store/push/targets.ts';
import { type Operations, accepted } from '../services/operations.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams } from '../schemas/common.ts';
import { IncrementInput, Incremented, ReadInput, Unread } from '../schemas/messages.ts';

const tag = 'Unread';

/** Read marks, and explicit increments of the unread counts. */
export function unreadRoutes(deps: {
  readonly pool: pg.Pool;
  readonly operations: Operations;
  readonly submitIncrement: SubmitIncrement;
}): Route[] {
  const read = defineRoute({
    method: 'post',
    path: '/v1/conversations/{id}/read',
    name: 'markRead',
    tag,
    summary: 'Mark as read',
    description:
      'Moves your read position, only forward, and clears explicit increments. A seq above the last entry means all entries. A position that the log does not have is `log-restarted`.',
    shedding: 'last',
    params: ConversationParams,
    body: ReadInput,
    replies: { 200: { description: 'Read', schema: Unread } },
    problems: ['removed', 'not-found', 'log-restarted'],
    handle: async ({ params, body: { seq: upTo }, operationId, ...origin }) => {
      const { unread } = await deps.operations.decide(
        params.id,
        {
          kind: 'read',
          id: operationId(),
          actor: origin.caller.user,
          ...(upTo === undefined ? {} : { seq: upTo.seq }),
          ...(upTo?.mark === undefined ? {} : statedPosition(upTo)),
        },
        origin,
      );
      await acknowledgeWake(deps.pool, origin.caller);
      return reply(200, { unread });
    },
  });

  const increment = defineRoute({
    method: 'post',
    path: '/v1/conversations/{id}/unread',
    name: 'incrementUnread',
    tag,
    summary: 'Increment the unread counts of the other members',
    description:
      'The increment is counted within a second, after a fault within two minutes. Several requests with the same `id` count once.',
    params: ConversationParams,
    body: IncrementInput,
    replies: {
      202: { description: 'The increment is stored, and will be counted even after a crash', schema: Incremented },
    },
    problems: ['removed', 'not-allowed', 'not-found', 'id-reused', 'superseded', 'rate-limited'],
    handle: async ({ params, body: { by, id: ownId }, operationId, caller, correlationId, deadline }) => {
      const id = ownId ?? operationId();
      const command = { kind: 'increment', id, actor: caller.user, by } as const;
      accepted(await deps.submitIncrement({ conversation: params.id, command, deadline, correlationId }));
      return reply(202, { id });
    },
  });
  return [read, increment];
}
