import type pg from 'pg';
import type { z } from 'zod';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import { type AuditEntry, listAudit, writeAudit } from '../../store/repair/audit.ts';
import {
  type ConversationOverview,
  overviewConversation,
  overviewConversations,
} from '../../store/conversation/overview.ts';
import type { AutoReport } from '../../dispatch/auto/auto-report.ts';
import type { PathSwitch } from '../../dispatch/path-switch.ts';
import type { WorkflowRuns } from '../../dispatch/workflow-runs.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import {
  AdminConversation,
  AdminConversationList,
  AdminConversationsQuery,
  AuditList,
  AuditQuery,
  OperatorReason,
  WorkflowRun,
} from '../schemas/admin.ts';
import { ConversationParams, cursorAfter } from '../schemas/common.ts';
import { PathSetting, PathState } from '../schemas/operations.ts';

export interface AdminDeps {
  readonly pool: pg.Pool;
  readonly pathSwitch: Pick<PathSwitch, 'get' | 'set'>;
  /** What the path `auto` does in this process. */
  readonly autoReport: () => AutoReport;
  readonly runs: WorkflowRuns;
}

const shared = { tag: 'Operators', access: 'operator' } as const;
const DEFAULT_REASON = 'by an operator';

/** Routes for operators: they inspect conversations and change settings at run time. */
export function adminRoutes(deps: AdminDeps): Route[] {
  return [...pathRoutes(deps), ...inspectionRoutes(deps), ...runRoutes(deps), auditRoute(deps)];
}

function pathRoutes({ pool, pathSwitch, autoReport }: AdminDeps): Route[] {
  const path = '/v1/admin/path';
  const get = defineRoute({
    ...shared,
    path,
    method: 'get',
    name: 'getPath',
    summary: 'Get the execution path',
    description: 'The setting, and what the controller of `auto` does in the process that answers.',
    replies: { 200: { description: 'The setting and the state', schema: PathState } },
    problems: ['not-allowed'],
    handle: () => {
      const controller = autoReport();
      return Promise.resolve(
        reply(200, { ...pathSwitch.get(), controller: { ...controller, wedged: [...controller.wedged] } }),
      );
    },
  });
  const put = defineRoute({
    ...shared,
    path,
    method: 'put',
    name: 'setPath',
    summary: 'Change the execution path',
    description:
      'The change reaches all replicas within a second, without a restart. Both paths may decide operations of the same conversation at the same time.',
    body: PathSetting,
    replies: { 200: { description: 'The new setting', schema: PathSetting } },
    problems: ['not-allowed'],
    handle: async ({ body, caller }) => {
      await writeAudit(pool, { actor: caller.user, action: 'path', details: { from: pathSwitch.get(), to: body } });
      await pathSwitch.set(body);
      return reply(200, body);
    },
  });
  return [get, put];
}

function inspectionRoutes({ pool, runs }: AdminDeps): Route[] {
  const list = defineRoute({
    ...shared,
    method: 'get',
    path: '/v1/admin/conversations',
    name: 'adminListConversations',
    summary: 'List conversations',
    description: 'All conversations by id, or only those in one state.',
    query: AdminConversationsQuery,
    replies: { 200: { description: 'Conversations by id', schema: AdminConversationList } },
    problems: ['not-allowed'],
    handle: async ({ query: { state, cursor = '', limit } }) => {
      const rows = await overviewConversations(pool, state, cursor, limit + 1);
      const conversations = rows.slice(0, limit).map(present);
      const last = conversations.at(-1);
      const next = rows.length > limit && last !== undefined ? { next: cursorAfter(last.id) } : {};
      return reply(200, { conversations, ...next });
    },
  });
  const get = defineRoute({
    ...shared,
    method: 'get',
    path: '/v1/admin/conversations/{id}',
    name: 'adminGetConversation',
    summary: 'Get a conversation and its workflow',
    params: ConversationParams,
    replies: { 200: { description: 'The conversation', schema: AdminConversation } },
    problems: ['not-allowed', 'not-found'],
    handle: async ({ params: { id }, deadline }) => {
      const found = await overviewConversation(pool, id);
      if (found === undefined) throw new AppError('not-found');
      return reply(200, { ...present(found), workflow: await runs.describe(id, deadline) });
    },
  });
  return [list, get];
}

function runRoutes({ pool, runs }: AdminDeps): Route[] {
  const route = (
    action: 'shutdown' | 'restart',
    { summary, description }: { readonly summary: string; readonly description: string },
    act: (
      id: ConversationId,
      request: { readonly reason: string; readonly caller: string; readonly deadline: number },
    ) => Promise<void>,
  ): Route =>
    defineRoute({
      ...shared,
      method: 'post',
      path: `/v1/admin/conversations/{id}/${action}`,
      name: `${action}Conversation`,
      summary,
      description,
      params: ConversationParams,
      body: OperatorReason,
      replies: { 202: { description: 'The request was sent to the workflow', schema: WorkflowRun } },
      problems: ['not-allowed', 'not-found'],
      handle: async ({ params: { id }, body: { reason = DEFAULT_REASON }, caller, deadline }) => {
        if ((await overviewConversation(pool, id)) === undefined) throw new AppError('not-found');
        const entry: AuditEntry = { conversation: id, actor: caller.user, action, details: { reason } };
        await writeAudit(pool, entry);
        await act(id, { reason, caller: caller.user, deadline });
        return reply(202, await runs.describe(id, deadline));
      },
    });
  return [
    route(
      'shutdown',
      {
        summary: 'End the run of a conversation',
        description: 'The run decides the operations that it has, and completes. The next operation starts a new run.',
      },
      (id, { reason, deadline }) => runs.shutdown(id, reason, deadline),
    ),
    route(
      'restart',
      {
        summary: 'Restart the run of a conversation',
        description:
          'Ends the run like `shutdown`, and starts a new run. A run that does not end within 3 seconds is terminated: nothing that was acknowledged is lost.',
      },
      async (id, { reason, caller, deadline }) => {
        const end = await runs.restart(id, reason, deadline);
        if (end !== 'terminated') return;
        await writeAudit(pool, { conversation: id, actor: caller, action: 'terminate', details: { reason } });
      },
    ),
  ];
}

function auditRoute({ pool }: AdminDeps): Route {
  return defineRoute({
    ...shared,
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
}

function present({
  successor,
  dueAt,
  createdAt,
  ...overview
}: ConversationOverview): z.output<typeof AdminConversationList>['conversations'][number] {
  return {
    ...overview,
    ...(successor === null ? {} : { successor }),
    ...(dueAt === null ? {} : { dueAt: dueAt.toISOString() }),
    createdAt: createdAt.toISOString(),
  };
}
