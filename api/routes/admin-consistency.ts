import type pg from 'pg';
import type { z } from 'zod';
import type { RunConsistencyAudit } from '../../dispatch/consistency-audits.ts';
import { type Finding, auditConversations } from '../../store/consistency/audit.ts';
import { type Run, beginRun, latestRun, listFindings, stopRun } from '../../store/consistency/runs.ts';
import { writeAudit } from '../../store/repair/audit.ts';
import { emptyReply, reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { cursorAfter } from '../schemas/common.ts';
import {
  ConsistencyFindings,
  ConsistencyQuery,
  ConsistencyRun,
  MAX_AUDITED_AT_ONCE,
  StartConsistencyAudit,
} from '../schemas/consistency.ts';

export interface AdminConsistencyDeps {
  readonly pool: pg.Pool;
  readonly runConsistencyAudit: RunConsistencyAudit;
}

const shared = { tag: 'Operators', access: 'operator', path: '/v1/admin/audit/consistency' } as const;
/** Time for the answer after the last statement. */
const ANSWER_MS = 500;

type RunAnswer = z.output<typeof ConsistencyRun>;

/** Routes of the consistency audit (docs/explanation/consistency.md). */
export function adminConsistencyRoutes({ pool, runConsistencyAudit }: AdminConsistencyDeps): Route[] {
  const start = defineRoute({
    ...shared,
    method: 'post',
    name: 'startConsistencyAudit',
    summary: 'Check the stored rows',
    description: `Up to ${MAX_AUDITED_AT_ONCE} conversations are read at once. Without conversations an audit of all begins, or goes on if one is running.`,
    body: StartConsistencyAudit,
    replies: {
      200: { description: 'The findings in these conversations', schema: ConsistencyFindings },
      202: { description: 'The audit runs', schema: ConsistencyRun },
    },
    problems: ['not-allowed'],
    handle: async ({ body: { conversations }, caller, deadline }) => {
      if (conversations !== undefined) {
        const totalMs = deadline - Date.now() - ANSWER_MS;
        const { checked, found, findings } = await auditConversations(pool, conversations, { totalMs });
        return reply(200, { checked, found, findings: findings.map(present) });
      }
      await writeAudit(pool, { actor: caller.user, action: 'consistency-audit', details: {} });
      const run = await beginRun(pool, caller.user);
      await runConsistencyAudit(deadline);
      return reply(202, describe(run));
    },
  });
  const get = defineRoute({
    ...shared,
    method: 'get',
    name: 'getConsistencyAudit',
    summary: 'Read the consistency audit',
    description:
      'The newest audit of all conversations: how far it has come, and its findings in the order in which they were found.',
    query: ConsistencyQuery,
    replies: { 200: { description: 'The audit', schema: ConsistencyRun } },
    problems: ['not-allowed'],
    handle: async ({ query: { cursor = 0, limit } }) => {
      const run = await latestRun(pool);
      if (run === undefined) return reply(200, { state: 'none', checked: 0, total: 0, found: 0, findings: [] });
      const rows = await listFindings(pool, run.id, cursor, limit + 1);
      const findings = rows.slice(0, limit);
      const last = findings.at(-1);
      const next = rows.length > limit && last !== undefined ? { next: cursorAfter(String(last.n)) } : {};
      return reply(200, { ...describe(run), findings: findings.map(present), ...next });
    },
  });
  const stop = defineRoute({
    ...shared,
    method: 'delete',
    name: 'stopConsistencyAudit',
    summary: 'Stop the consistency audit',
    description: 'It ends after the slice that it reads now. The next audit begins at the first conversation.',
    replies: { 204: { description: 'No audit runs' } },
    problems: ['not-allowed'],
    handle: async ({ caller }) => {
      if (await stopRun(pool)) {
        await writeAudit(pool, { actor: caller.user, action: 'consistency-audit-stopped', details: {} });
      }
      return emptyReply(204);
    },
  });
  return [start, get, stop];
}

function present({ conversation, rule, details }: Finding): RunAnswer['findings'][number] {
  return { ...(conversation === '' ? {} : { conversation }), rule, details };
}

function describe({ state, startedBy, startedAt, seenAt, finishedAt, checked, total, found }: Run): RunAnswer {
  return {
    state,
    startedAt: startedAt.toISOString(),
    ...(startedBy === '' ? {} : { startedBy }),
    seenAt: seenAt.toISOString(),
    ...(finishedAt === null ? {} : { finishedAt: finishedAt.toISOString() }),
    checked,
    total,
    found,
    findings: [],
  };
}
