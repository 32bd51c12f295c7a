import { AppError } from '../../domain/errors.ts';
import { readConsent } from '../../store/consent/consent.ts';
import { listConversations } from '../../store/conversation/lists.ts';
import { listDevices } from '../../store/device/devices.ts';
import { overviewUser } from '../../store/device/user-overview.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { AdminUser, AdminUserConversations, UserParams } from '../schemas/admin-users.ts';
import { ConversationsPageQuery, cursorAfter } from '../schemas/common.ts';
import type { AdminDeps } from './admin-deps.ts';

const shared = { tag: 'Operators', access: 'operator', method: 'get', problems: ['not-allowed', 'not-found'] } as const;

/** What the service knows of a user. */
export function adminUserRoutes({ pool }: Pick<AdminDeps, 'pool'>): Route[] {
  const get = defineRoute({
    ...shared,
    path: '/v1/admin/users/{user}',
    name: 'adminGetUser',
    summary: 'Get a user: its devices and key packages',
    description: '404 for a user who has no device and is or was in no conversation.',
    params: UserParams,
    replies: { 200: { description: 'The user', schema: AdminUser } },
    handle: async ({ params: { user } }) => {
      const [devices, consent, overview, groups] = await Promise.all([
        listDevices(pool, user),
        readConsent(pool, user),
        overviewUser(pool, user),
        listConversations(pool, user, '', 1),
      ]);
      if (devices.length === 0 && groups.length === 0 && !overview.erasing) throw new AppError('not-found');
      return reply(200, {
        user,
        consent,
        ...overview,
        devices: devices.map(({ createdAt, seenAt, push, ...device }) => ({
          ...device,
          ...(push === null ? {} : { push }),
          createdAt: createdAt.toISOString(),
          seenAt: seenAt.toISOString(),
        })),
      });
    },
  });
  const groups = defineRoute({
    ...shared,
    path: '/v1/admin/users/{user}/conversations',
    name: 'adminListUserConversations',
    summary: 'List the conversations of a user',
    description: 'With those that it left in the last 30 days, whose role is `removed`.',
    params: UserParams,
    query: ConversationsPageQuery,
    replies: { 200: { description: 'Conversations, the oldest first', schema: AdminUserConversations } },
    handle: async ({ params: { user }, query: { cursor = '', limit } }) => {
      const rows = await listConversations(pool, user, cursor, limit + 1);
      const conversations = rows
        .slice(0, limit)
        .map(({ id, protocol, epoch, lastSeq, memberCount, createdAt, role, unread }) => ({
          ...{ id, protocol, epoch, lastSeq, memberCount, role, unread },
          createdAt: createdAt.toISOString(),
        }));
      const last = conversations.at(-1);
      const next = rows.length > limit && last !== undefined ? { next: cursorAfter(last.id) } : {};
      return reply(200, { conversations, ...next });
    },
  });
  return [get, groups];
}
