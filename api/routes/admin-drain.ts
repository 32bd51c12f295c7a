import pLimit from 'p-limit';
import { AppError } from '../../domain/errors.ts';
import { parseConversationId } from '../../domain/ids.ts';
import { type Drain, readDrain, writeDrain } from '../../store/process/drain.ts';
import { writeAudit } from '../../store/repair/audit.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { DrainState, DrainStep } from '../schemas/admin-status.ts';
import { PathSetting } from '../schemas/operations.ts';
import type { AdminDeps } from './admin-deps.ts';

const shared = { tag: 'Operators', access: 'operator', path: '/v1/admin/drain', problems: ['not-allowed'] } as const;
const COUNT_MS = 1500;
/** Runs that are asked to end at a time: each is two calls of Temporal. */
const PARALLEL = 20;
const DIRECT = { path: 'direct', rollout: 100 } as const;
const REASON = 'the workflow path is drained';

/**
 * Takes the workflow path out of use, for a maintenance of Temporal or of all workers: all operations go direct, nobody wakes runs,
 * and the runs that there are end in steps.
 */
export function adminDrainRoutes({ pool, pathSwitch, runs, running }: AdminDeps): Route[] {
  const stateOf = async (drain: Drain | undefined, more: object = {}): Promise<object> => {
    const counts = await running.count(Date.now() + COUNT_MS).catch(() => undefined);
    return {
      drained: drain !== undefined,
      ...(drain === undefined ? {} : { since: drain.since, by: drain.by }),
      ...(counts === undefined ? {} : { running: counts.running }),
      ...more,
    };
  };
  const begin = async (by: string): Promise<Drain> => {
    const before = pathSwitch.get();
    const drain = { since: new Date().toISOString(), by, before };
    await writeAudit(pool, { actor: by, action: 'drain', details: { before } });
    await writeDrain(pool, drain);
    await pathSwitch.set(DIRECT);
    return drain;
  };
  /** Again in every step: the process that began the drain may have died before it changed the path. */
  const goDirect = async (): Promise<void> => {
    const { path, rollout } = pathSwitch.get();
    if (path !== DIRECT.path || rollout !== DIRECT.rollout) await pathSwitch.set(DIRECT);
  };
  const endSome = async (limit: number, terminate: boolean, deadline: number): Promise<number> => {
    const ids = await running.list(limit, deadline).catch((error: unknown) => {
      throw new AppError('unavailable', 'Temporal does not answer', {}, { cause: error });
    });
    const ended = await pLimit(PARALLEL).map(ids, async (text) => {
      const id = parseConversationId(text);
      if (id === undefined) return 0;
      const end = terminate ? runs.terminate : runs.shutdown;
      return end(id, REASON, deadline).then(
        () => 1,
        () => 0,
      );
    });
    return ended.reduce<number>((sum, one) => sum + one, 0);
  };

  const get = defineRoute({
    ...shared,
    method: 'get',
    name: 'getDrain',
    summary: 'Whether the workflow path is drained',
    description:
      'While it is drained, all operations go direct. `running` counts the workflow runs of conversations that are still open; they end in steps, by `POST` on the same path',
    replies: { 200: { description: 'The state', schema: DrainState } },
    handle: async () => reply(200, await stateOf(await readDrain(pool))),
  });
  const step = defineRoute({
    ...shared,
    method: 'post',
    name: 'drain',
    summary: 'Drain the workflow path: one step',
    description:
      'The first step moves all conversations to the direct path, and has the sweep wake none. Every step ends some runs. Repeat it until `running` is 0. No request fails meanwhile. Timers stand still until the end of the drain.',
    body: DrainStep,
    replies: { 200: { description: 'The state after the step', schema: DrainState } },
    handle: async ({ body: { limit, terminate }, caller, deadline }) => {
      const drain = (await readDrain(pool)) ?? (await begin(caller.user));
      await goDirect();
      return reply(200, await stateOf(drain, { ended: await endSome(limit, terminate, deadline - COUNT_MS) }));
    },
  });
  const undo = defineRoute({
    ...shared,
    method: 'delete',
    name: 'endDrain',
    summary: 'Use the workflow path again',
    description: 'The path setting from before the drain comes back. Runs start with the next operations.',
    replies: { 200: { description: 'The state', schema: DrainState } },
    handle: async ({ caller }) => {
      const drain = await readDrain(pool);
      if (drain !== undefined) {
        const before = PathSetting.safeParse(drain.before);
        await writeAudit(pool, { actor: caller.user, action: 'end-drain', details: { before: drain.before } });
        // The drain has the setting from before. So it goes last: a call that was interrupted is made again.
        await pathSwitch.set(before.success ? before.data : { path: 'auto', rollout: 100 });
        await writeDrain(pool, undefined);
      }
      return reply(200, await stateOf(undefined));
    },
  });
  return [get, step, undo];
}
