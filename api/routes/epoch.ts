import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { readGroupInfo } from '../../store/group-info.ts';
import type { KnownConversations } from '../conversations/known.ts';
import { emptyReply, reply } from '../routing/reply.ts';
import { type Route, defineRoute } from '../routing/route.ts';
import { ConversationParams } from '../schemas/common.ts';
import { CurrentEpoch, GroupInfo } from '../schemas/conversations.ts';

const tag = 'Commits';

/** The epoch of a conversation, and the GroupInfo of that epoch. */
export function epochRoutes(deps: { readonly pool: pg.Pool; readonly known: KnownConversations }): Route[] {
  const epoch = defineRoute({
    method: 'get',
    path: '/v1/conversations/{id}/epoch',
    name: 'getEpoch',
    tag,
    summary: 'The current epoch',
    description: 'With an `ETag`; `If-None-Match` is answered 304 while the epoch stands.',
    params: ConversationParams,
    replies: { 200: { description: 'The epoch', schema: CurrentEpoch }, 304: { description: 'Unchanged' } },
    problems: ['removed', 'not-found'],
    handle: async ({ params, caller, request }) => {
      const { epoch: current } = await deps.known.viewAsMember(params.id, caller.user);
      const tagOfEpoch = `"${current}"`;
      const headers = { ETag: tagOfEpoch, 'Cache-Control': 'private, no-cache' };
      if (matches(request.headers['if-none-match'], tagOfEpoch)) return emptyReply(304, headers);
      return reply(200, { epoch: current }, headers);
    },
  });

  const groupInfo = defineRoute({
    method: 'get',
    path: '/v1/conversations/{id}/group-info',
    name: 'getGroupInfo',
    tag,
    summary: 'The GroupInfo of the current epoch',
    params: ConversationParams,
    replies: { 200: { description: 'The GroupInfo', schema: GroupInfo } },
    problems: ['removed', 'not-found', 'group-info-missing'],
    handle: async ({ params, caller }) => {
      const view = await readGroupInfo(deps.pool, params.id, caller.user);
      if (view === undefined) throw new AppError('not-found');
      if (view.leftSeq !== null) throw new AppError('removed', undefined, { seq: view.leftSeq });
      if (view.groupInfo === null) throw new AppError('group-info-missing');
      return reply(200, { groupInfo: view.groupInfo.toString('base64'), epoch: view.epoch });
    },
  });
  return [epoch, groupInfo];
}

/** Weak comparison with a list of entity tags (RFC 9110 §13.1.2). */
function matches(header: string | undefined, tagOfEpoch: string): boolean {
  if (header === undefined) return false;
  return header
    .split(',')
    .map((one) => one.trim().replace(/^W\//, ''))
    .some((one) => one === '*' || one === tagOfEpoch);
}
