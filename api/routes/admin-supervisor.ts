import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { writeAudit } from '../../store/repair/audit.ts';
import { listActions } from '../../store/supervision/actions.ts';
import { readPolicy, writePolicy } from '../../store/supervision/policy.ts';
import { listTroubles } from '../../store/trouble/troubles.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { SupervisorPolicy, SupervisorReport } from '../schemas/supervisor.ts';
import { type SupervisorSeen, TROUBLE_NOW_MS } from '../services/supervisor-watch.ts';

export interface SupervisorRouteDeps {
  readonly pool: pg.Pool;
  /** What the supervisor says of itself now. */
  readonly supervisor: () => Promise<SupervisorSeen>;
}

const shared = { tag: 'Operators', access: 'operator', path: '/v1/admin/supervisor' } as const;
const TROUBLES = 500;
const ACTIONS = 50;

/** Routes about the supervisor: what it sees and does, and its policy. */
export function supervisorRoutes({ pool, supervisor }: SupervisorRouteDeps): Route[] {
  const get = defineRoute({
    ...shared,
    method: 'get',
    name: 'getSupervisor',
    summary: 'See the supervisor, and conversations in trouble',
    description: 'Whether it works, its policy, the signs of trouble of the last minute, and its last actions.',
    replies: { 200: { description: 'The state', schema: SupervisorReport } },
    problems: ['not-allowed'],
    handle: async () => {
      const [{ silentMs, ...seen }, { policy }, troubles, actions] = await Promise.all([
        supervisor(),
        readPolicy(pool),
        listTroubles(pool, { withinMs: TROUBLE_NOW_MS, limit: TROUBLES }),
        listActions(pool, ACTIONS),
      ]);
      return reply(200, {
        ...seen,
        ...(silentMs === undefined ? {} : { silentMs }),
        policy,
        troubles: troubles.map(({ firstAt, lastAt, ...trouble }) => ({
          ...trouble,
          firstAt: firstAt.toISOString(),
          lastAt: lastAt.toISOString(),
        })),
        actions: actions.map(({ at, conversation, ...action }) => ({
          at: at.toISOString(),
          ...(conversation === undefined ? {} : { conversation }),
          ...action,
        })),
      });
    },
  });
  const put = defineRoute({
    ...shared,
    method: 'put',
    name: 'setSupervisorPolicy',
    summary: 'Change the policy of the supervisor',
    description:
      'In force with its next round. What is left out has its default. Each change is a clean sheet: conversations that were given up, and buckets that were stopped, have another chance, and a degraded service is resumed.',
    body: SupervisorPolicy,
    replies: { 200: { description: 'The new policy', schema: SupervisorPolicy } },
    problems: ['not-allowed'],
    handle: async ({ body, caller }) => {
      const { policy } = await readPolicy(pool);
      await writeAudit(pool, { actor: caller.user, action: 'supervisor-policy', details: { from: policy, to: body } });
      await writePolicy(pool, body, randomUUID());
      return reply(200, body);
    },
  });
  return [get, put];
}
