import type { DatabaseState } from '../../store/process/database-state.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ServiceStatus } from '../schemas/admin-status.ts';
import { runChecks } from '../services/health-checks.ts';
import { makeServiceFacts } from '../services/service-status.ts';
import { findingsOf } from '../services/status-findings.ts';
import type { AdminDeps } from './admin-deps.ts';
import { pathState } from './admin-path.ts';

/** The whole service in one answer. */
export function adminStatusRoutes(deps: AdminDeps): Route[] {
  const { pool, running, own, checks, version, autoReport } = deps;
  const readFacts = makeServiceFacts({ pool, running, ownFacts: () => own.facts() });
  const status = defineRoute({
    tag: 'Operators',
    access: 'operator',
    method: 'get',
    path: '/v1/admin/status',
    name: 'getStatus',
    summary: 'Get the state of the whole service',
    description:
      'Processes, paths, queues, Temporal, PostgreSQL, conversations in trouble, and what is wrong. It answers within seconds, whatever part is away.',
    replies: { 200: { description: 'The state', schema: ServiceStatus } },
    problems: ['not-allowed'],
    handle: async () => {
      const [health, facts] = await Promise.all([runChecks(checks), readFacts()]);
      const path = pathState(deps);
      const { database, temporal, drain } = facts;
      return reply(200, {
        at: new Date().toISOString(),
        version,
        checks: {
          database: health.database.status,
          temporal: health.temporal.status,
          memory: health.memory.status,
          actors: health.actors.status,
        },
        findings: findingsOf({ facts, health, path, controller: autoReport() }),
        processes: facts.processes.map(({ startedAt, silentMs, ...process }) => ({
          ...process,
          startedAt: startedAt.toISOString(),
          silentMs: Math.max(0, silentMs),
        })),
        path,
        ...(drain === undefined ? {} : { drain: { drained: true, since: drain.since, by: drain.by } }),
        queue: facts.queue,
        ...(temporal === undefined ? {} : { temporal }),
        ...(database === undefined ? {} : { database: presentDatabase(database) }),
        troubles: {
          more: facts.moreTroubles,
          newest: facts.troubles.map(({ details: _, firstAt, lastAt, ...trouble }) => ({
            ...trouble,
            firstAt: firstAt.toISOString(),
            lastAt: lastAt.toISOString(),
          })),
        },
      });
    },
  });
  return [status];
}

function presentDatabase({ oldestTransaction, ...state }: DatabaseState): object {
  return { ...state, ...(oldestTransaction === null ? {} : { oldestTransaction }) };
}
