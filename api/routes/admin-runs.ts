import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import { lockedProblem } from '../../dispatch/conversation-lock.ts';
import { deleteByOperator } from '../../store/conversation/operator-delete.ts';
import { overviewConversation } from '../../store/conversation/overview.ts';
import { type AuditEntry, writeAudit } from '../../store/repair/audit.ts';
import { emptyReply, reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import {
  HistoryPage,
  HistoryQuery,
  OperatorReason,
  OperatorReasonQuery,
  WorkflowRun,
} from '../schemas/admin-conversations.ts';
import { ConversationParams } from '../schemas/common.ts';
import type { AdminDeps } from './admin-deps.ts';

const shared = { tag: 'Operators', access: 'operator' } as const;
const DEFAULT_REASON = 'by an operator';
/** The deletion is done when this begins, and the sweep wakes the run as well. */
const WAKE_MS = 2000;
/** Of Temporal, for a page of a history. */
const HISTORY_MS = 5000;

/** A whole history is too long for a documentation. */
const FIRST_PAGE = {
  runId: '01a224b2-0542-7d9a-9e2f-78794b2cd223',
  events: [
    {
      eventId: '1',
      eventTime: { seconds: '1795905865', nanos: 106020124 },
      eventType: 'EVENT_TYPE_WORKFLOW_EXECUTION_STARTED',
    },
  ],
  next: 'CAISBAgBEAE',
};

/** What operators do with one conversation: its run, its history, its deletion. */
export function adminRunRoutes(deps: AdminDeps): Route[] {
  return [...runRoutes(deps), historyRoute(deps), deleteRoute(deps)];
}

function runRoutes({ pool, runs }: Pick<AdminDeps, 'pool' | 'runs'>): Route[] {
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

function historyRoute({ inspection }: Pick<AdminDeps, 'inspection'>): Route {
  return defineRoute({
    ...shared,
    method: 'get',
    path: '/v1/admin/conversations/{id}/history',
    name: 'getHistory',
    summary: 'Read the history of the newest run',
    description:
      'Events in the JSON form of Temporal, in pages. A history holds references and small facts, and no content. With it, the code of another release can be tried before it is deployed.',
    hasLargeAnswer: true,
    params: ConversationParams,
    query: HistoryQuery,
    replies: { 200: { description: 'Events', schema: HistoryPage, example: FIRST_PAGE } },
    problems: ['not-allowed', 'not-found'],
    handle: async ({ params: { id }, query: { run, cursor }, deadline }) => {
      if (cursor !== undefined && run === undefined) throw new AppError('malformed', 'cursor needs run');
      const from = cursor === undefined || run === undefined ? undefined : { runId: run, next: cursor };
      const until = Math.min(deadline, Date.now() + HISTORY_MS);
      const page = await inspection.history(id, from, until).catch((error: unknown) => {
        throw new AppError('unavailable', 'Temporal does not answer', {}, { cause: error });
      });
      if (page === undefined) throw new AppError('not-found');
      return reply(200, page);
    },
  });
}

function deleteRoute({ pool, runs, notifier }: Pick<AdminDeps, 'pool' | 'runs' | 'notifier'>): Route {
  return defineRoute({
    ...shared,
    method: 'delete',
    path: '/v1/admin/conversations/{id}',
    name: 'adminDeleteConversation',
    summary: 'Delete a conversation for everybody',
    description:
      'Like the deletion by an admin of the conversation: its id and its positions are never used again, and its rows are removed soon.',
    params: ConversationParams,
    query: OperatorReasonQuery,
    replies: { 204: { description: 'Deleted' } },
    problems: ['not-allowed', 'not-found'],
    handle: async ({ params: { id }, query: { reason = DEFAULT_REASON }, caller, deadline }) => {
      const found = await overviewConversation(pool, id);
      const isDeleted =
        found !== undefined &&
        (await deleteByOperator(pool, id, caller.user, { reason }).catch((error: unknown) => {
          throw lockedProblem(error) ?? error;
        }));
      if (!isDeleted) throw new AppError('not-found');
      notifier.entry(id, found.lastSeq, true);
      await runs.wake(id, Math.min(deadline, Date.now() + WAKE_MS)).catch(() => undefined);
      return emptyReply(204);
    },
  });
}
