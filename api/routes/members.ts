import type pg from 'pg';
import { BODY_LIMIT_COMMITS } from '../../domain/limits.ts';
import { listMembers, listPendingLeaves, listPendingRemovals } from '../../store/membership/members.ts';
import type { ConversationCache } from '../services/conversation-cache.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import type { ApplyCommit } from '../services/commits.ts';
import { type Leave, refuseOwnCommit } from '../services/leave.ts';
import type { Operations } from '../services/operations.ts';
import { AppError } from '../../domain/errors.ts';
import { ConversationParams, MemberParams, UsersPageQuery, cursorAfter } from '../schemas/common.ts';
import { AddMembers, BarChanged, MemberList, MembersChanged, RemoveMember } from '../schemas/members.ts';
import { COMMIT_PROBLEMS } from './commits.ts';

const path = '/v1/conversations/{id}/members';
const tag = 'Members';

/** List, add and remove members. */
export function memberRoutes(deps: {
  readonly pool: pg.Pool;
  readonly conversations: ConversationCache;
  readonly applyCommit: ApplyCommit;
  readonly leave: Leave;
  readonly operations: Operations;
}): Route[] {
  const list = defineRoute({
    method: 'get',
    path,
    name: 'listMembers',
    tag,
    summary: 'List the members',
    description:
      'Page by page, by user id. `leaving` are the users who left and whose leaves of the MLS group no commit has removed yet: a commit of any member should. The list can be longer than that of the group: it is what the service goes by',
    params: ConversationParams,
    query: UsersPageQuery,
    replies: { 200: { description: 'Members by user id', schema: MemberList } },
    problems: ['removed', 'not-found'],
    handle: async ({ params, query: { cursor = '', limit }, caller }) => {
      await deps.conversations.viewAsMember(params.id, caller.user);
      const [rows, leaving, leaves] = await Promise.all([
        listMembers(deps.pool, params.id, cursor, limit + 1),
        listPendingRemovals(deps.pool, params.id),
        listPendingLeaves(deps.pool, params.id),
      ]);
      const members = rows.slice(0, limit);
      const last = members.at(-1);
      const next = rows.length > limit && last !== undefined ? { next: cursorAfter(last.user) } : {};
      const leavingLeaves = leaves.map(({ user, leaf }) => ({ user, leaf: leaf.toString('base64') }));
      return reply(200, { members, leaving, ...(leaves.length === 0 ? {} : { leavingLeaves }), ...next });
    },
  });

  const add = defineRoute({
    method: 'post',
    path,
    name: 'addMembers',
    tag,
    summary: 'Add members',
    description:
      'In `mls` conversations a commit is required. In `opaque` conversations it is optional: without a commit, the add is an entry of its own and increases the epoch by one. If all users are members already, nothing changes.',
    rateClass: 'commits',
    params: ConversationParams,
    body: AddMembers,
    bodyLimit: BODY_LIMIT_COMMITS,
    replies: { 200: { description: 'Added', schema: MembersChanged } },
    problems: [...COMMIT_PROBLEMS, 'commit-required'],
    handle: async ({ params, body: { users, ...change }, operationId, ...origin }) => {
      const { epoch, seq } = await deps.applyCommit(params.id, { ...change, adds: users }, origin, operationId);
      return reply(200, { seq, epoch });
    },
  });

  const removal = (own: Pick<Route, 'method' | 'path' | 'name' | 'summary'>): Route =>
    defineRoute({
      ...own,
      tag,
      description:
        'In `mls` conversations, a commit that removes all devices of the user is required. To remove yourself means to leave: from now on you cannot send, you can read up to your own Remove proposal, and a commit of another member completes it.',
      rateClass: 'commits',
      params: MemberParams,
      body: RemoveMember,
      bodyLimit: BODY_LIMIT_COMMITS,
      replies: { 200: { description: 'Removed', schema: MembersChanged } },
      problems: [...COMMIT_PROBLEMS, 'commit-required', 'proposal-stale'],
      handle: async ({ params, body, operationId, ...origin }) => {
        const { proposal, ...change } = body;
        if (params.user === origin.caller.user) {
          refuseOwnCommit(change);
          const { epoch, id, position } = change;
          const left = await deps.leave(params.id, { proposal, epoch, id, position }, origin, operationId);
          return reply(200, { seq: left.seq, epoch: left.epoch });
        }
        if (proposal !== undefined)
          throw new AppError('malformed', 'A proposal is accepted only from a member who leaves');
        const { seq, epoch } = await deps.applyCommit(
          params.id,
          { ...change, removes: [params.user] },
          origin,
          operationId,
        );
        return reply(200, { seq, epoch });
      },
    });

  const bar = (own: Pick<Route, 'method' | 'name' | 'summary' | 'description'>, barred: boolean): Route =>
    defineRoute({
      ...own,
      path: `${path}/{user}/bar`,
      tag,
      params: MemberParams,
      replies: { 200: { description: barred ? 'Barred' : 'Not barred', schema: BarChanged } },
      problems: ['not-allowed', 'removed', 'not-found', 'superseded'],
      handle: async ({ params: { id, user }, operationId, ...origin }) => {
        const command = { kind: 'bar', id: operationId(), actor: origin.caller.user, user, barred } as const;
        await deps.operations.decide(id, command, origin);
        return reply(200, { user, barred });
      },
    });

  return [
    list,
    add,
    bar(
      {
        method: 'post',
        name: 'barUser',
        summary: 'Bar a user from coming back by itself (admin)',
        description:
          'For anybody: a member, a former member or an outsider. A bar removes nobody, and a member keeps joining with further devices. After it left or was removed, the user cannot join by an external commit, also where anyone may. An add by an admin lifts the bar. A successor keeps it.',
      },
      true,
    ),
    bar(
      {
        method: 'delete',
        name: 'liftBar',
        summary: 'Lift the bar of a user (admin)',
        description: 'The answer is the same where there is no bar.',
      },
      false,
    ),
    removal({
      method: 'delete',
      path: `${path}/{user}`,
      name: 'removeMember',
      summary: 'Remove a member, or leave',
    }),
    removal({
      method: 'post',
      path: `${path}/{user}/remove`,
      name: 'removeMemberByPost',
      summary: 'The same as DELETE, for clients that cannot send a body with DELETE',
    }),
  ];
}
