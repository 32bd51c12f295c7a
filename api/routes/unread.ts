import { AppError } from '../../domain/errors.ts';
import type { KnownConversations } from '../services/known-conversations.ts';
import type { Operate } from '../services/operations.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams } from '../schemas/common.ts';
import { IncrementInput, Incremented, ReadInput, Unread } from '../schemas/messages.ts';

/** Hands an increment to the conversation; when it returns, the increment outlives any crash. */
export type Increment = (increment: {
  readonly conversation: string;
  readonly user: string;
  readonly by: number;
  /** Makes a retry count once. */
  readonly id: string;
  readonly requestId: string;
  /** Milliseconds since 1970. */
  readonly deadline: number;
}) => Promise<void>;

const tag = 'Unread';

/** Read marks, and explicit increments of the unread counts. */
export function unreadRoutes(deps: {
  readonly known: KnownConversations;
  readonly operate: Operate;
  readonly increment: Increment;
}): Route[] {
  const read = defineRoute({
    method: 'post',
    path: '/v1/conversations/{id}/read',
    name: 'markRead',
    tag,
    summary: 'Mark as read',
    description: 'Moves the own read position, only forward, and clears explicit increments.',
    params: ConversationParams,
    body: ReadInput,
    replies: { 200: { description: 'Read', schema: Unread } },
    problems: ['removed', 'not-found'],
    handle: async ({ params, body: { seq }, operationId, ...origin }) => {
      const { unread = 0 } = await deps.operate.apply(
        params.id,
        { kind: 'read', id: operationId(), actor: origin.caller.user, ...(seq === undefined ? {} : { seq }) },
        origin,
      );
      return reply(200, { unread });
    },
  });

  const increment = defineRoute({
    method: 'post',
    path: '/v1/conversations/{id}/unread',
    name: 'incrementUnread',
    tag,
    summary: 'Increment the unread counts of the others',
    description: 'Counted within a second. The same `id` again counts once.',
    params: ConversationParams,
    body: IncrementInput,
    replies: { 202: { description: 'It will be counted, whatever crashes', schema: Incremented } },
    problems: ['removed', 'not-found', 'superseded'],
    handle: async ({ params, body: { by, id: ownId }, operationId, caller, requestId, deadline }) => {
      const { successor } = await deps.known.viewAsMember(params.id, caller.user);
      if (successor !== null) throw new AppError('superseded', undefined, { successor });
      const id = ownId ?? operationId();
      await deps.increment({ conversation: params.id, user: caller.user, by, id, requestId, deadline });
      return reply(202, { id });
    },
  });
  return [read, increment];
}
