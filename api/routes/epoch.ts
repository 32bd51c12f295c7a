import { AppError } from '../../domain/errors.ts';
import { BODY_LIMIT_COMMITS } from '../../domain/limits.ts';
import type { GroupInfos } from '../services/group-info.ts';
import type { ConversationCache } from '../services/conversation-cache.ts';
import { emptyReply, reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams } from '../schemas/common.ts';
import { CurrentEpoch, GroupInfo, GroupInfoInput } from '../schemas/conversations.ts';

const tag = 'Commits';

/** The epoch of a conversation, and the GroupInfo of that epoch. */
export function epochRoutes(deps: {
  readonly conversations: ConversationCache;
  readonly groupInfos: GroupInfos;
}): Route[] {
  const epoch = defineRoute({
    method: 'get',
    path: '/v1/conversations/{id}/epoch',
    name: 'getEpoch',
    admission: 'askable',
    tag,
    summary: 'Get the current epoch',
    description:
      'The answer has an `ETag`. A request with `If-None-Match` gets 304 as long as the epoch is the same. If `externalJoin` is `request`, users who are not members get it too, with the cipher suite of the group: they need both to ask to join. Users whom somebody else removed, and barred users, get 404.',
    params: ConversationParams,
    replies: { 200: { description: 'The epoch', schema: CurrentEpoch }, 304: { description: 'Unchanged' } },
    problems: ['removed', 'not-found'],
    handle: async ({ params, caller, request }) => {
      const { id } = params;
      const found = await deps.conversations.viewAsMember(id, caller.user).then(
        ({ epoch: ofMember }) => ({ epoch: ofMember }),
        async (error: unknown) => {
          if (!(error instanceof AppError)) throw error;
          const toAsk = await deps.groupInfos.readToAsk(id, caller.user);
          if (toAsk === undefined) throw error;
          return toAsk;
        },
      );
      const tagOfEpoch = `"${found.epoch}"`;
      const headers = { ETag: tagOfEpoch, 'Cache-Control': 'private, no-cache' };
      if (matches(request.headers['if-none-match'], tagOfEpoch)) return emptyReply(304, headers);
      return reply(200, found, headers);
    },
  });

  const path = '/v1/conversations/{id}/group-info';
  const getGroupInfo = defineRoute({
    method: 'get',
    path,
    name: 'getGroupInfo',
    admission: 'joinable',
    tag,
    summary: 'Get the GroupInfo of the current epoch',
    description:
      'If `externalJoin` is `anyone`, users who are not members get it too, except users whom somebody else removed.',
    hasLargeAnswer: true,
    params: ConversationParams,
    replies: { 200: { description: 'The GroupInfo', schema: GroupInfo } },
    problems: ['removed', 'not-found', 'group-info-missing'],
    handle: async ({ params, caller }) => {
      const { epoch: current, groupInfo } = await deps.groupInfos.read(params.id, caller.user);
      return reply(200, { groupInfo: groupInfo.toString('base64'), epoch: current });
    },
  });

  const putGroupInfo = defineRoute({
    method: 'put',
    path,
    name: 'putGroupInfo',
    tag,
    summary: 'Supply the GroupInfo of the current epoch',
    description:
      'For an epoch whose commit had no GroupInfo. A leaf of yours must have signed it. The first GroupInfo stays: the same bytes get 200 again, other bytes 409 `group-info-exists`. An admin replaces it, and the GroupInfo of the next commit always does.',
    rateClass: 'commits',
    params: ConversationParams,
    body: GroupInfoInput,
    bodyLimit: BODY_LIMIT_COMMITS,
    replies: { 200: { description: 'The epoch has a GroupInfo', schema: CurrentEpoch } },
    problems: [
      'not-allowed',
      'identity-mismatch',
      'removed',
      'not-found',
      'superseded',
      'group-info-exists',
      'group-info-stale',
      'epoch-ahead',
      'wrong-group',
      'wrong-content-type',
      'group-info-mismatch',
      'membership-mismatch',
    ],
    handle: async ({ params, body, operationId, ...origin }) => {
      const outcome = await deps.groupInfos.supply(params.id, body.groupInfo, origin, operationId);
      return reply(200, { epoch: outcome.epoch });
    },
  });
  return [epoch, getGroupInfo, putGroupInfo];
}

/** Weak comparison with a list of entity tags (RFC 9110 §13.1.2). */
function matches(header: string | undefined, tagOfEpoch: string): boolean {
  if (header === undefined) return false;
  return header
    .split(',')
    .map((one) => one.trim().replace(/^W\//, ''))
    .some((one) => one === '*' || one === tagOfEpoch);
}
