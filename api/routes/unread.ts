import type pg from 'pg';
import type { SubmitIncrement } from '../../dispatch/increments.ts';
import { statedPosition } from '../../domain/position.ts';
import type { Notifier } from '../../store/log/notifications.ts';
import { readUnreadTotals } from '../../store/log/unread.ts';
import { acknowledgeWake } from '../../store/push/targets.ts';
import { type Operations, accepted } from '../services/operations.ts';
import { tellingUsedEntry } from '../services/used-id.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams } from '../schemas/common.ts';
import { IncrementInput, Incremented, ReadInput, Unread, UnreadTotals } from '../schemas/messages.ts';

const tag = 'Unread';

/** Read marks, and explicit increments of the unread counts. */
export function unreadRoutes(deps: {
  readonly pool: pg.Pool;
  readonly operations: Operations;
  readonly submitIncrement: SubmitIncrement;
  readonly notifier: Pick<Notifier, 'read'>;
}): Route[] {
  const totals = defineRoute({
    method: 'get',
    path: '/v1/unread',
    name: 'countUnread',
    tag,
    summary: 'Count what you have not read',
    description:
      'Over all conversations that you are a member of. `GET /v1/conversations` has the count of each. What retention took counts no more; the body of a deleted message counts until you have passed it.',
    // One look-up for each conversation.
    cost: { request: 5 },
    replies: { 200: { description: 'Totals', schema: UnreadTotals } },
    problems: [],
    handle: async ({ caller }) => {
      const { total, conversations, hasMore } = await readUnreadTotals(deps.pool, caller.user);
      return reply(200, { total, conversations, ...(hasMore ? { more: true } : {}) });
    },
  });

  const read = defineRoute({
    method: 'post',
    path: '/v1/conversations/{id}/read',
    name: 'markRead',
    tag,
    summary: 'Mark as read',
    description:
      'Moves your read position forward, and clears explicit increments. With `back` it moves backward only, and clears nothing: messages after `seq` are unread again. If several of your devices move it, what is decided last holds. A seq above the last entry means all entries. A position that the log does not have is `log-restarted`. Your account streams tell it: event `read`.',
    shedding: 'last',
    params: ConversationParams,
    body: ReadInput,
    replies: { 200: { description: 'Read', schema: Unread } },
    problems: ['removed', 'not-found', 'log-restarted'],
    handle: async ({ params, body: { seq: upTo, back }, operationId, ...origin }) => {
      const { user } = origin.caller;
      const mark = {
        ...(upTo === undefined ? {} : { seq: upTo.seq }),
        ...(upTo?.mark === undefined ? {} : statedPosition(upTo)),
        ...(back === undefined ? {} : { back }),
      };
      const command = { kind: 'read', id: operationId(), actor: user, ...mark } as const;
      const { unread } = await deps.operations.decide(params.id, command, origin);
      deps.notifier.read(user, params.id);
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
      const outcome = await deps.submitIncrement({ conversation: params.id, command, deadline, correlationId });
      await tellingUsedEntry(deps.pool, params.id, command, () => accepted(outcome));
      return reply(202, { id });
    },
  });
  return [totals, read, increment];
}
