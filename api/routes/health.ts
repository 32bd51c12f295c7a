import type { IncarnationWatch } from '../../store/process/incarnation-watch.ts';
import { type HealthChecks, isReady, makeHealthReport, overall, reasonsOf } from '../services/health-checks.ts';
import { reply, textReply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { Health, Readiness } from '../schemas/operations.ts';

export interface HealthDeps {
  readonly checks: HealthChecks;
  readonly version: string;
  /** Commit or image that it was built from. */
  readonly build: string;
  /** Of the service; undefined = the database did not answer yet. */
  readonly incarnation: Pick<IncarnationWatch, 'current'>;
  /** True from the start of the shutdown. */
  readonly isDraining: () => boolean;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
}

const shared = { method: 'get', tag: 'Operators', access: 'public', isFree: true, problems: [] } as const;
/** As long as the process answers, the answer is the same. */
const LIVE_MS = 1000;
/** While Postgres is away. */
const UNHEALTHY = {
  status: 'unhealthy',
  timestamp: '2026-01-31T12:00:00.000Z',
  version: '1.0.0',
  build: '3f2a9c41d7e8',
  reasons: ['database: no answer within 2 s'],
  checks: {
    database: 'unhealthy',
    temporal: 'healthy',
    memory: 'healthy',
    actors: { active_actors: 12, status: 'healthy', healthy: true },
    tokens: 'healthy',
  },
};
const NOT_READY = {
  ready: false,
  checks: { database: false, temporal: true, memory: true, actors: true, tokens: true, serving: true },
};
const NEVER_STORED = { 'Cache-Control': 'no-store' };

/** Health and metrics, for machines. */
export function healthRoutes({ checks, version, build, incarnation, isDraining, metrics }: HealthDeps): Route[] {
  const report = makeHealthReport(checks);
  const health = defineRoute({
    ...shared,
    path: '/health',
    name: 'health',
    summary: 'Health of the service',
    description:
      'For people and monitors: each part, and why one of them is not healthy. A balancer asks `/health/ready` instead: a part that all processes share is no reason to take one of them out',
    replies: {
      200: { description: 'healthy or degraded', schema: Health },
      503: { description: 'unhealthy', schema: Health, example: UNHEALTHY },
    },
    handle: async () => {
      const found = await report.read();
      const status = overall(found);
      const known = incarnation.current();
      const { database, temporal, memory, tokens, actors } = found;
      const body = {
        status,
        timestamp: new Date().toISOString(),
        version,
        build,
        ...(known === undefined ? {} : { incarnation: known }),
        reasons: reasonsOf(found),
        checks: {
          database: database.status,
          temporal: temporal.status,
          memory: memory.status,
          tokens: tokens.status,
          actors: {
            active_actors: actors.facts?.active_actors ?? 0,
            status: actors.status,
            healthy: actors.status === 'healthy',
          },
        },
      };
      return { ...reply(status === 'unhealthy' ? 503 : 200, body, NEVER_STORED), keptMs: report.freshMs() };
    },
  });

  const live = defineRoute({
    ...shared,
    path: '/health/live',
    name: 'live',
    summary: 'Check that the process answers',
    description: 'For an orchestrator that restarts a process which hangs. It asks no other part',
    replies: { 200: { description: 'OK', mediaType: 'text/plain' } },
    handle: () => Promise.resolve({ ...textReply(200, 'text/plain; charset=utf-8', 'OK'), keptMs: LIVE_MS }),
  });

  const ready = defineRoute({
    ...shared,
    path: '/health/ready',
    name: 'ready',
    summary: 'Check that the process is ready for requests. Temporal does not count',
    description:
      'For a balancer: a process that is not ready gets no requests. While a process shuts down it is not ready and still serves',
    replies: {
      200: { description: 'Ready', schema: Readiness },
      503: { description: 'Not ready', schema: Readiness, example: NOT_READY },
    },
    handle: async () => {
      const found = await report.read();
      const passed = Object.entries(found).map(([name, { status }]) => [name, status !== 'unhealthy'] as const);
      const ready = !isDraining() && isReady(found);
      const body = { ready, checks: { ...Object.fromEntries(passed), serving: !isDraining() } };
      return { ...reply(ready ? 200 : 503, body, NEVER_STORED), keptMs: report.freshMs() };
    },
  });

  const scrape = defineRoute({
    ...shared,
    path: '/metrics',
    name: 'metrics',
    isFree: false,
    summary: 'Metrics of this process (Prometheus)',
    description: 'In the text format of Prometheus. Every process has its own, so scrape each one',
    replies: { 200: { description: 'Metrics', mediaType: 'text/plain' } },
    handle: async () => {
      const { contentType, text } = await metrics();
      return textReply(200, contentType, text);
    },
  });
  return [health, live, ready, scrape];
}
