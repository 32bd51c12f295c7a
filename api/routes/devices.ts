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

/** Devices of the caller, and the deletion of all its data. */
export function deviceRoutes(deps: {
  readonly pool: pg.Pool;
  readonly notifier: Pick<Notifier, 'device'>;
  readonly seen: SeenDevices;
  readonly leaveAll: LeaveAll;
}): Route[] {
  /** Ends the streams of a device. All processes remove it from their cache of recorded devices. */
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
    description: 'Devices that sent a request with one of your tokens, by device id.',
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
      'Deletes the device with its key packages, positions and Welcomes, and ends its stream `/v1/events`. Its leaves stay in its groups until a commit removes them. Its tokens stay valid until they expire: a request with one of them records the device again.',
    params: DeviceParams,
    replies: { 204: { description: 'The device is deleted' } },
    problems: ['not-found'],
    handle: async ({ params: { device }, caller: { user } }) => {
      // Otherwise a record that this process is still writing would add the device again.
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
    summary: 'Erase your data',
    description:
      'Leaves every conversation. Then it deletes your devices, key packages, claims, positions and Welcomes, and ends your streams. If you are the last admin of a conversation that must keep an admin, the answer is 403 `not-allowed` with the id of that conversation. In that case all other conversations were left, and nothing was deleted yet: make another member admin, or delete the conversation, and send the request again. Send it again after 503, too. Your user id stays where others need it: in the commits and proposals that you sent and in the records of former members, as long as the conversation exists, and in the audit trail for 400 days. Application messages of `mls` conversations have no sender.',
    replies: { 204: { description: 'Your data is deleted' } },
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
