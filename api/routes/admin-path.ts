import type { z } from 'zod';
import { writeAudit } from '../../store/repair/audit.ts';
import { readDrain, writeDrain } from '../../store/process/drain.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { PathSetting, PathState } from '../schemas/operations.ts';
import type { AdminDeps } from './admin-deps.ts';

const shared = { tag: 'Operators', access: 'operator', path: '/v1/admin/path' } as const;

/** Which execution path operations take. */
export function adminPathRoutes(deps: Pick<AdminDeps, 'pool' | 'pathSwitch' | 'autoReport'>): Route[] {
  const { pool, pathSwitch } = deps;
  const get = defineRoute({
    ...shared,
    method: 'get',
    name: 'getPath',
    summary: 'Get the execution path',
    description: 'The setting, and what the controller of `auto` does in the process that answers.',
    replies: { 200: { description: 'The setting and the state', schema: PathState } },
    problems: ['not-allowed'],
    handle: () => Promise.resolve(reply(200, pathState(deps))),
  });
  const put = defineRoute({
    ...shared,
    method: 'put',
    name: 'setPath',
    summary: 'Change the execution path',
    description:
      'The change reaches all replicas within a second, without a restart. Both paths may decide operations of the same conversation at the same time. It ends a drain.',
    body: PathSetting,
    replies: { 200: { description: 'The new setting', schema: PathSetting } },
    problems: ['not-allowed'],
    handle: async ({ body, caller }) => {
      await writeAudit(pool, { actor: caller.user, action: 'path', details: { from: pathSwitch.get(), to: body } });
      if ((await readDrain(pool)) !== undefined) await writeDrain(pool, undefined);
      await pathSwitch.set(body);
      return reply(200, body);
    },
  });
  return [get, put];
}

/** The setting, and what this process does by it. */
export function pathState({
  pathSwitch,
  autoReport,
}: Pick<AdminDeps, 'pathSwitch' | 'autoReport'>): z.output<typeof PathState> {
  const controller = autoReport();
  return { ...pathSwitch.get(), controller: { ...controller, wedged: [...controller.wedged] } };
}
