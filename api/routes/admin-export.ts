import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { exportEntries, exportMembers, readExport } from '../../store/conversation/export.ts';
import { overviewConversation } from '../../store/conversation/overview.ts';
import { writeAudit } from '../../store/repair/audit.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import {
  ExportBegun,
  ExportEntries,
  ExportEntriesQuery,
  ExportMembers,
  ExportMembersQuery,
  ExportParams,
  OperatorReason,
} from '../schemas/admin-conversations.ts';
import { ConversationParams, cursorAfter } from '../schemas/common.ts';
import { present } from './admin-conversations.ts';
import type { AdminDeps } from './admin-deps.ts';

const shared = { tag: 'Operators', access: 'operator', problems: ['not-allowed', 'not-found'] } as const;
const page = { ...shared, method: 'get', params: ExportParams } as const;
const BASE = '/v1/admin/conversations/{id}/exports';

/**
 * The whole of a conversation as it is stored, in pages. An export begins with an entry in the audit trail, whose number every page
 * must name: so nothing is exported without a trace.
 */
export function adminExportRoutes({ pool }: Pick<AdminDeps, 'pool'>): Route[] {
  const begin = defineRoute({
    ...shared,
    method: 'post',
    path: BASE,
    name: 'beginExport',
    summary: 'Begin an export of a conversation',
    description: 'Writes an entry in the audit trail. For a day the same operator may read the pages of the export.',
    params: ConversationParams,
    body: OperatorReason,
    replies: { 201: { description: 'The export has begun', schema: ExportBegun } },
    handle: async ({ params: { id }, body: { reason }, caller }) => {
      const found = await overviewConversation(pool, id);
      if (found === undefined) throw new AppError('not-found');
      const { lastSeq } = found;
      const details = { lastSeq, ...(reason === undefined ? {} : { reason }) };
      const key = await writeAudit(pool, { conversation: id, actor: caller.user, action: 'export', details });
      return reply(201, { export: key, conversation: present(found), lastSeq });
    },
  });
  const entries = defineRoute({
    ...page,
    path: `${BASE}/{export}/entries`,
    name: 'exportEntries',
    summary: 'Read entries of an export',
    description: 'The log with its bytes as they are stored: nobody but the members can read them.',
    hasLargeAnswer: true,
    query: ExportEntriesQuery,
    replies: { 200: { description: 'Entries, in order of seq', schema: ExportEntries } },
    handle: async ({ params, query: { after = 0, limit }, caller }) => {
      const until = await lastSeqOf(pool, params, caller.user);
      const rows = await exportEntries(pool, params.id, { after, until, limit });
      const last = rows.at(-1);
      const next = last !== undefined && last.seq < until ? { next: last.seq } : {};
      const presented = rows.map(({ sender, sha256, ciphertext, at, ...entry }) => ({
        ...entry,
        ...(sender === null ? {} : { sender }),
        sha256: sha256.toString('hex'),
        ...(ciphertext === null ? {} : { ciphertext: ciphertext.toString('base64') }),
        at: at.toISOString(),
      }));
      return reply(200, { entries: presented, ...next });
    },
  });
  const members = defineRoute({
    ...page,
    path: `${BASE}/{export}/members`,
    name: 'exportMembers',
    summary: 'Read members of an export',
    description: 'Members and former members, as they are now.',
    query: ExportMembersQuery,
    replies: { 200: { description: 'Members, by user id', schema: ExportMembers } },
    handle: async ({ params, query: { cursor = '', limit }, caller }) => {
      await lastSeqOf(pool, params, caller.user);
      const rows = await exportMembers(pool, params.id, cursor, limit + 1);
      const shown = rows
        .slice(0, limit)
        .map(({ leftSeq, ...member }) => ({ ...member, ...(leftSeq === null ? {} : { leftSeq }) }));
      const last = shown.at(-1);
      const next = rows.length > limit && last !== undefined ? { next: cursorAfter(last.user) } : {};
      return reply(200, { members: shown, ...next });
    },
  });
  return [begin, entries, members];
}

async function lastSeqOf(
  pool: pg.Pool,
  { id, export: key }: { readonly id: string; readonly export: number },
  operator: string,
): Promise<number> {
  const lastSeq = await readExport(pool, key, id, operator);
  if (lastSeq === undefined) throw new AppError('not-found', 'Begin an export first');
  return lastSeq;
}
