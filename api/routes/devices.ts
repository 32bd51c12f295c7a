import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { eraseUser } from '../../store/device/account.ts';
import { forgetDevice, listDevices } from '../../store/device/devices.ts';
import type { Notifier } from '../../store/log/notifications.ts';
import type { LeaveAll } from '../services/leave-all.ts';
import type { SeenDevices } from '../services/seen-devices.ts';
import { emptyReply, reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { DeviceList, DeviceParams } from '../schemas/devices.ts';

const tag = 'Devices';

/** The caller's devices, and the end of all. */
export function deviceRoutes(deps: {
  readonly pool: pg.Pool;
  readonly notifier: Pick<Notifier, 'device'>;
  readonly seen: SeenDevices;
  readonly leaveAll: LeaveAll;
}): Route[] {
  /** Its streams end, and no process believes that it is on record. */
  const ended = (user: string, device: string): void => {
    deps.seen.forget({ user, device });
    deps.notifier.device(user, device);
  };

  const list = defineRoute({
    method: 'get',
    path: '/v1/devices',
    name: 'listDevices',
    tag,
    summary: 'List your devices',
    description: 'Those that asked for anything with a token of yours, by id.',
    replies: { 200: { description: 'Devices', schema: DeviceList } },
    problems: [],
    handle: async ({ caller }) => {
      await deps.seen.settled();
      const rows = await listDevices(deps.pool, caller.user);
      const devices = rows.map(({ device, createdAt, seenAt, available, lastResort }) => ({
        device,
        createdAt: createdAt.toISOString(),
        seenAt: seenAt.toISOString(),
        available,
        lastResort,
        current: device === caller.device,
      }));
      return reply(200, { devices });
    },
  });

  const forget = defineRoute({
    method: 'delete',
    path: '/v1/devices/{device}',
    name: 'forgetDevice',
    tag,
    summary: 'Forget a device',
    description:
      'With its key packages, positions and Welcomes; its stream `/v1/events` ends. Its leaves stay in its groups until a commit removes them, and its tokens are good until they expire: with one of them it becomes known again.',
    params: DeviceParams,
    replies: { 204: { description: 'Forgotten' } },
    problems: ['not-found'],
    handle: async ({ params: { device }, caller: { user } }) => {
      // What this process is about to note would bring the device back.
      await deps.seen.settled();
      const isForgotten = await forgetDevice(deps.pool, { user, device });
      ended(user, device);
      if (!isForgotten) throw new AppError('not-found');
      return emptyReply(204);
    },
  });

  const erase = defineRoute({
    method: 'delete',
    path: '/v1/me',
    name: 'eraseMe',
    tag,
    summary: 'Erase me',
    description:
      'Leaves every conversation, then forgets your devices, key packages, claims, positions and Welcomes, and ends your streams. A conversation that its last admin may not leave is answered 403 `not-allowed` with its id, after all others were left and before anything is forgotten: hand it over or delete it, and ask again. Likewise after 503. Your user id stays where others need it: in the commits and proposals that you sent, and in what your groups say of former members, as long as the conversation is there; and in the audit trail for 400 days. Application messages of `mls` conversations carry no sender.',
    replies: { 204: { description: 'Erased' } },
    problems: ['not-allowed', 'overloaded'],
    handle: async (origin) => {
      const { user } = origin.caller;
      await deps.leaveAll(origin, origin.operationId);
      await deps.seen.settled();
      for (const device of await eraseUser(deps.pool, user)) ended(user, device);
      return emptyReply(204);
    },
  });
  return [list, forget, erase];
}
