import { listAudit } from '../../store/repair/audit.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { AuditList, AuditQuery } from '../schemas/admin-audit.ts';
import { cursorAfter } from '../schemas/common.ts';
import type { AdminDeps } from './admin-deps.ts';

/** Who did what. */
export function adminAuditRoutes({ pool }: Pick<AdminDeps, 'pool'>): Route[] {
  const list = defineRoute({
    tag: 'Operators',
    access: 'operator',
    method: 'get',
    path: '/v1/admin/audit',
    name: 'listAudit',
    summary: 'Read the audit trail',
    description: 'Reports and resets of conversations, and actions of operators.',
    query: AuditQuery,
    replies: { 200: { description: 'Entries, newest first', schema: AuditList } },
    problems: ['not-allowed'],
    handle: async ({ query: { conversation, cursor, limit } }) => {
      const rows = await listAudit(pool, { conversation, before: cursor, limit: limit + 1 });
      const entries = rows.slice(0, limit).map(({ key, at, conversation: about, ...entry }) => ({
        id: key,
        at: at.toISOString(),
        ...(about === null ? {} : { conversation: about }),
        ...entry,
      }));
      const last = entries.at(-1);
      const next = rows.length > limit && last !== undefined ? { next: cursorAfter(String(last.id)) } : {};
      return reply(200, { entries, ...next });
    },
  });
  return [list];
}
