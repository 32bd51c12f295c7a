import type { Logger } from 'pino';
import type pg from 'pg';
import type { z } from 'zod';
import type { OffBoardingRuns } from '../../dispatch/off-boarding-runs.ts';
import { AppError } from '../../domain/errors.ts';
import {
  type OffBoarding as Stored,
  beginOffBoarding,
  endOffBoarding,
  readOffBoarding,
} from '../../store/off-boarding/off-boardings.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { UserParams } from '../schemas/admin-users.ts';
import { OffBoarding, OffBoardingInput, OffBoardingQuery } from '../schemas/off-boarding.ts';
import { type CutOffs, learnCutOffs } from '../services/cut-offs.ts';

export interface OffBoardingDeps {
  readonly pool: pg.Pool;
  readonly cutOffs: CutOffs;
  readonly offBoardingRuns: Pick<OffBoardingRuns, 'startNow'>;
  readonly log: Logger;
}

const shared = {
  tag: 'Operators',
  access: 'operator',
  path: '/v1/admin/users/{user}/off-boarding',
  params: UserParams,
} as const;

/** Has the workers work on an off-boarding. This may not fail the request: the row stands, and the sweep starts what Temporal did not take. */
export function makeOffBoardingStart(
  deps: Pick<OffBoardingDeps, 'offBoardingRuns' | 'log'>,
): (id: number, deadline: number) => Promise<void> {
  return async (id, deadline) => {
    await deps.offBoardingRuns.startNow(id, deadline).catch((error: unknown) => {
      deps.log.warn({ err: error, offBoarding: id }, 'the workflow of an off-boarding was not started: the sweep will');
    });
  };
}

/** Routes by which operators remove users and devices from everywhere (docs/how-to/off-boarding.md). */
export function offBoardingRoutes(deps: OffBoardingDeps): Route[] {
  const { pool, cutOffs, log } = deps;
  const startRun = makeOffBoardingStart(deps);
  const start = async (id: number, deadline: number): Promise<void> => {
    await learnCutOffs(cutOffs, log);
    await startRun(id, deadline);
  };
  const read = async (user: string, device: string): Promise<z.output<typeof OffBoarding>> => {
    const found = await readOffBoarding(pool, user, device);
    if (found === undefined) throw new AppError('not-found', 'There is no off-boarding of this user or device');
    return describe(found);
  };

  const begin = defineRoute({
    ...shared,
    method: 'post',
    name: 'offBoardUser',
    summary: 'Remove a user from everywhere',
    description:
      'From the answer on, nothing that the user sends is accepted, and its tokens get 403 `removed`; its streams end within 2 s. Then its membership in each conversation ends, and the service proposes to the members to remove its leaves, again in each epoch until a commit does. With `device` the user stays, and only the leaves go that the service knows as those of this device; a token that is issued later is a new login. The user need not be known. Repeated it changes nothing.',
    body: OffBoardingInput,
    replies: { 202: { description: 'The user is cut off, and the work has begun', schema: OffBoarding } },
    problems: ['not-allowed'],
    handle: async ({ params: { user }, body: { reason, device = '' }, caller, deadline }) => {
      const id = await beginOffBoarding(pool, { user, device, actor: caller.user }, reason);
      await start(id, deadline);
      return reply(202, await read(user, device));
    },
  });
  const get = defineRoute({
    ...shared,
    method: 'get',
    name: 'getOffBoarding',
    summary: 'How far an off-boarding has come',
    description:
      'In how many conversations the user, or one device of it, is still to be removed from the MLS group. Without `device` it is the off-boarding of the whole user',
    query: OffBoardingQuery,
    replies: { 200: { description: 'The newest off-boarding, also one that was undone', schema: OffBoarding } },
    problems: ['not-allowed', 'not-found'],
    handle: async ({ params: { user }, query: { device = '' } }) => reply(200, await read(user, device)),
  });
  const undo = defineRoute({
    ...shared,
    method: 'delete',
    name: 'undoOffBoarding',
    summary: 'Undo an off-boarding',
    description:
      'The user may send requests again at once. Where no commit has removed its leaves yet, it becomes a member again, with the role that it had. From other groups it is gone: a member must add it.',
    query: OffBoardingQuery,
    replies: { 202: { description: 'The undo has begun', schema: OffBoarding } },
    problems: ['not-allowed', 'not-found'],
    handle: async ({ params: { user }, query: { device = '' }, caller, deadline }) => {
      const id = await endOffBoarding(pool, { user, device, actor: caller.user });
      if (id !== undefined) await start(id, deadline);
      return reply(202, await read(user, device));
    },
  });
  return [begin, get, undo];
}

function describe(stored: Stored): z.output<typeof OffBoarding> {
  const { user, device, reason, startedBy, startedAt, endedAt, total, done, waiting } = stored;
  return {
    user,
    ...(device === '' ? {} : { device }),
    reason,
    startedBy,
    startedAt: startedAt.toISOString(),
    ...(endedAt === null ? {} : { undoneAt: endedAt.toISOString() }),
    state: stateOf(stored),
    total,
    done,
    waiting,
  };
}

function stateOf({ endedAt, isWorked, waiting }: Stored): z.output<typeof OffBoarding>['state'] {
  if (endedAt !== null) return waiting > 0 || !isWorked ? 'undoing' : 'undone';
  if (!isWorked) return 'working';
  return waiting > 0 ? 'waiting' : 'done';
}
