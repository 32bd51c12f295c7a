import { listRestarts } from '../../store/supervision/actions.ts';
import { makeAct } from './act.ts';
import type { SupervisorActivities, SupervisorActivityDeps } from './contract.ts';
import { makeLook } from './look.ts';
import { readPolicy } from '../../store/supervision/policy.ts';

/** Restarts that a supervisor without a memory asks for. */
const RECALLED = 3000;

/** Activities of the supervisor. */
export function createSupervisorActivities(deps: SupervisorActivityDeps): SupervisorActivities {
  return {
    look: makeLook(deps),
    act: makeAct(deps),
    recallRestarts: async () => {
      const { policy } = await readPolicy(deps.pool);
      return { policy, restarts: await listRestarts(deps.pool, { withinMs: policy.windowMs, limit: RECALLED }) };
    },
  };
}
