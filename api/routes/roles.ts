import type { Operations } from '../services/operations.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { MemberParams } from '../schemas/common.ts';
import { Role, RoleInput } from '../schemas/members.ts';

/** Roles of members. */
export function roleRoutes({ operations }: { readonly operations: Operations }): Route[] {
  const setRole = defineRoute({
    method: 'put',
    path: '/v1/conversations/{id}/members/{user}/role',
    name: 'setRole',
    tag: 'Members',
    summary: 'Change the role of a member (admin)',
    description: 'A conversation always has at least one admin.',
    shedding: 'last',
    params: MemberParams,
    body: RoleInput,
    replies: { 200: { description: 'Changed', schema: Role } },
    problems: ['not-allowed', 'removed', 'not-found', 'superseded'],
    handle: async ({ params: { id, user }, body: { role }, operationId, ...origin }) => {
      const command = { kind: 'role', id: operationId(), actor: origin.caller.user, user, role } as const;
      await operations.decide(id, command, origin);
      return reply(200, { user, role });
    },
  });
  return [setRole];
}
