import type { z } from 'zod';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { RunFacts, WorkflowInspection } from '../../dispatch/workflow-inspection.ts';
import {
  type ConversationOverview,
  TROUBLE_WITHIN_MS,
  overviewConversation,
  overviewConversations,
} from '../../store/conversation/overview.ts';
import { listRowLocks } from '../../store/conversation/row-locks.ts';
import { readWaiting } from '../../store/conversation/waiting.ts';
import { listTroubles } from '../../store/trouble/troubles.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { AdminConversation, AdminConversationList, AdminConversationsQuery } from '../schemas/admin-conversations.ts';
import { ConversationParams, cursorAfter } from '../schemas/common.ts';
import type { AdminDeps, OwnView } from './admin-deps.ts';

type Details = z.output<typeof AdminConversation>;
type Summary = z.output<typeof AdminConversationList>['conversations'][number];

const shared = { tag: 'Operators', access: 'operator', method: 'get' } as const;
/** What the database says is useful without Temporal, so Temporal and the run have this time to answer. */
const RUN_MS = 1500;
const STATE_MS = 1000;
/** A sign for each kind, and room for those of later releases. */
const SIGNS = 50;

/** Lists conversations, and shows one with all that is known of it. None of it waits for a lock. */
export function adminConversationRoutes({ pool, runs, inspection, own }: AdminDeps): Route[] {
  const list = defineRoute({
    ...shared,
    path: '/v1/admin/conversations',
    name: 'adminListConversations',
    summary: 'List conversations',
    description: 'Conversations by id: all, or those that pass all filters. Clients go by `next`.',
    query: AdminConversationsQuery,
    replies: { 200: { description: 'Conversations by id', schema: AdminConversationList } },
    problems: ['not-allowed'],
    handle: async ({ query: { cursor = '', limit, idleSeconds, ...filter } }) => {
      const idleMs = idleSeconds === undefined ? undefined : idleSeconds * 1000;
      const page = await overviewConversations(pool, { ...filter, idleMs }, cursor, limit);
      const next = page.next === undefined ? {} : { next: cursorAfter(page.next) };
      return reply(200, { conversations: page.conversations.map(present), ...next });
    },
  });
  const get = defineRoute({
    ...shared,
    path: '/v1/admin/conversations/{id}',
    name: 'adminGetConversation',
    summary: 'Get a conversation, its run, and what waits',
    description:
      'Counts of rows end at 1000. The mailbox and the streams are those of the process that answers. What Temporal or the run would say is absent if they do not answer within a second or two.',
    params: ConversationParams,
    replies: { 200: { description: 'The conversation', schema: AdminConversation } },
    problems: ['not-allowed', 'not-found'],
    handle: async ({ params: { id }, deadline }) => {
      const [found, waiting, locks, signs, workflow, run] = await Promise.all([
        overviewConversation(pool, id),
        readWaiting(pool, id),
        listRowLocks(pool, id),
        listTroubles(pool, { conversation: id, withinMs: TROUBLE_WITHIN_MS, limit: SIGNS }),
        runs.describe(id, deadline),
        runDetails(inspection, id, deadline),
      ]);
      if (found === undefined || waiting === undefined) throw new AppError('not-found');
      const { oldestStagedMs, ...counts } = waiting;
      const body: Details = {
        ...present(found),
        ...counts,
        ...(oldestStagedMs === null ? {} : { oldestStagedMs: Math.max(0, oldestStagedMs) }),
        locks: locks.map(withoutNulls) as Details['locks'],
        workflow,
        ...(run === undefined ? {} : { run }),
        process: ownView(own, id),
        signs: signs.map(({ conversation: _, firstAt, lastAt, ...sign }) => ({
          ...sign,
          firstAt: firstAt.toISOString(),
          lastAt: lastAt.toISOString(),
        })),
      };
      return reply(200, body);
    },
  });
  return [list, get];
}

/** A conversation in a list. */
export function present({ successor, dueAt, createdAt, lastAt, troubles, ...overview }: ConversationOverview): Summary {
  return {
    ...overview,
    ...(successor === null ? {} : { successor }),
    ...(dueAt === null ? {} : { dueAt: dueAt.toISOString() }),
    createdAt: createdAt.toISOString(),
    lastAt: lastAt.toISOString(),
    troubles: [...troubles],
  };
}

function ownView({ pathOf, loadOf, failuresOf, streamsOf }: OwnView, id: ConversationId): Details['process'] {
  const { waiting, inFlight, oldestMs } = loadOf(id) ?? { waiting: 0, inFlight: 0, oldestMs: 0 };
  const failures = failuresOf(id).map((failure) => ({ ...failure }));
  return { path: pathOf(id), mailbox: waiting, inFlight, oldestMs, streams: streamsOf(id), failures };
}

/** @returns `undefined`: there is no run, or Temporal does not answer */
async function runDetails(
  inspection: WorkflowInspection,
  id: ConversationId,
  deadline: number,
): Promise<Details['run'] | undefined> {
  const run = await inspection.run(id, Math.min(deadline, Date.now() + RUN_MS)).catch(() => undefined);
  if (run === undefined) return undefined;
  const state = run.status === 'RUNNING' ? await stateOf(inspection, id, deadline) : undefined;
  return { ...presentRun(run), ...(state === undefined ? {} : { state }) };
}

function presentRun({ startedAt, lastFailure, ...run }: RunFacts): NonNullable<Details['run']> {
  return {
    ...run,
    startedAt: startedAt.toISOString(),
    ...(lastFailure === undefined ? {} : { lastFailure: { ...lastFailure, at: lastFailure.at.toISOString() } }),
  };
}

async function stateOf(
  inspection: WorkflowInspection,
  id: ConversationId,
  deadline: number,
): Promise<NonNullable<Details['run']>['state']> {
  try {
    const state = await inspection.state(id, Math.min(deadline, Date.now() + STATE_MS));
    if (state === undefined) return undefined;
    const { health, queued, pendingIncrements, decided, closing, facts, asOf } = state;
    return {
      health,
      mailbox: queued,
      increments: pendingIncrements,
      decided,
      closing,
      ...(facts === undefined ? {} : { epoch: facts.epoch, lastSeq: facts.lastSeq }),
      ...(asOf === undefined ? {} : { asOf }),
    };
  } catch {
    return undefined;
  }
}

function withoutNulls(row: object): object {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));
}
