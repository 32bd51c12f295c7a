import type { CreateConversation } from '../services/create-conversation.ts';
import type { ConversationCache } from '../services/conversation-cache.ts';
import type { Operations } from '../services/operations.ts';
import { BODY_LIMIT_COMMITS } from '../../domain/limits.ts';
import { emptyReply, reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams } from '../schemas/common.ts';
import {
  Conversation,
  ConversationChange,
  ConversationChanged,
  ConversationDetails,
  NewConversation,
} from '../schemas/conversations.ts';

const tag = 'Conversations';

/** Create, read, change and delete conversations. */
export function conversationRoutes(deps: {
  readonly conversations: ConversationCache;
  readonly operations: Operations;
  readonly createConversation: CreateConversation;
}): Route[] {
  const create = defineRoute({
    method: 'post',
    path: '/v1/conversations',
    name: 'createConversation',
    tag,
    summary: 'Create a conversation',
    description: 'The creator becomes admin. If the same creator sends the same content again, the answer is 200.',
    shedding: 'last',
    body: NewConversation,
    bodyLimit: BODY_LIMIT_COMMITS,
    replies: {
      201: { description: 'Created', schema: Conversation },
      200: { description: 'The same request created it earlier', schema: Conversation },
    },
    problems: [
      'not-allowed',
      'identity-mismatch',
      'conversation-exists',
      'wrong-group',
      'wrong-content-type',
      'group-info-mismatch',
      'membership-mismatch',
      'too-many-members',
      'consent-required',
      'rate-limited',
    ],
    handle: async ({ body, caller, deadline }) => {
      const { isNew, ...conversation } = await deps.createConversation(body, caller, { user: caller.user, deadline });
      return reply(isNew ? 201 : 200, conversation, isNew ? { Location: `/v1/conversations/${body.id}` } : {});
    },
  });

  const get = defineRoute({
    method: 'get',
    path: '/v1/conversations/{id}',
    name: 'getConversation',
    tag,
    summary: 'Get a conversation',
    description:
      'Also for 30 days after you were removed, with the role `removed`: `periods` says which entries you may still read',
    params: ConversationParams,
    replies: { 200: { description: 'The conversation', schema: ConversationDetails } },
    problems: ['not-found'],
    handle: async ({ params, caller }) => {
      const {
        leftSeq: _leftSeq,
        pendingJoin: _pendingJoin,
        successor,
        createdAt,
        ...view
      } = await deps.conversations.view(params.id, caller.user);
      const next = successor === null ? {} : { successor };
      return reply(200, { ...view, ...next, createdAt: createdAt.toISOString() });
    },
  });

  const change = defineRoute({
    method: 'patch',
    path: '/v1/conversations/{id}',
    name: 'changeConversation',
    tag,
    summary: 'Change the policy (admin)',
    description:
      'Only the rules that you send change; `null` ends a retention. All members get an event `conversation` with the new policy',
    params: ConversationParams,
    body: ConversationChange,
    replies: { 200: { description: 'The whole policy after the change', schema: ConversationChanged } },
    problems: ['not-allowed', 'removed', 'not-found', 'superseded'],
    handle: async ({ params, body, operationId, ...origin }) => {
      const actor = origin.caller.user;
      const command = { kind: 'policy', id: operationId(), actor, policy: body.policy } as const;
      const { policy } = await deps.operations.decide(params.id, command, origin);
      return reply(200, { policy });
    },
  });

  const remove = defineRoute({
    method: 'delete',
    path: '/v1/conversations/{id}',
    name: 'deleteConversation',
    tag,
    summary: 'Delete a conversation for everybody (admin)',
    description:
      'At once nobody can read it or write to it, and members get an event `deleted`; its log is erased soon after. The id can never be used again',
    params: ConversationParams,
    replies: { 204: { description: 'Deleted' } },
    problems: ['not-allowed', 'removed', 'not-found'],
    handle: async ({ params, operationId, ...origin }) => {
      const command = { kind: 'delete', id: operationId(), actor: origin.caller.user } as const;
      await deps.operations.decide(params.id, command, origin);
      return emptyReply(204);
    },
  });
  return [create, get, change, remove];
}
