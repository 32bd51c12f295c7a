import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { DEFAULT_DEVICE } from '../../domain/ids.ts';
import { forgetDevice, listDevices } from '../../store/device/devices.ts';
import { removeOwnDevice } from '../../store/off-boarding/off-boardings.ts';
import type { Notifier } from '../../store/log/notifications.ts';
import { learnCutOffs } from '../services/cut-offs.ts';
import type { EraseUser } from '../services/erase-user.ts';
import type { SeenDevices } from '../services/seen-devices.ts';
import { emptyReply, reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { type OffBoardingDeps, makeOffBoardingStart } from './off-boarding.ts';
import { DeviceList, DeviceParams } from '../schemas/devices.ts';

const tag = 'Devices';

/** Devices of the caller, and the deletion of all its data. */
export function deviceRoutes(
  deps: OffBoardingDeps & {
    readonly pool: pg.Pool;
    readonly notifier: Pick<Notifier, 'device'>;
    readonly seen: SeenDevices;
    readonly eraseUser: EraseUser;
  },
): Route[] {
  const start = makeOffBoardingStart(deps);
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
      const devices = rows.map(({ device, createdAt, seenAt, available, lastResort, push }) => ({
        device,
        createdAt: createdAt.toISOString(),
        seenAt: seenAt.toISOString(),
        available,
        lastResort,
        ...(push === null ? {} : { push }),
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
      'Deletes the device with its key packages, positions, push target and Welcomes, and ends its stream `/v1/events`. Its tokens get 403 `removed` from now on; one that is issued later is a new login of the device. The service proposes to its groups to remove the leaves that it knows as those of the device, and their members commit that. Of the device `default`, which several installs may share, no leaves are known: its leaves and tokens stay.',
    params: DeviceParams,
    replies: { 204: { description: 'The device is deleted' } },
    problems: ['not-found'],
    handle: async ({ params: { device }, caller: { user }, deadline }) => {
      // Otherwise a record that this process is still writing would add the device again.
      await deps.seen.settled();
      if (device === DEFAULT_DEVICE) {
        const isForgotten = await forgetDevice(deps.pool, { user, device });
        ended(user, device);
        if (!isForgotten) throw new AppError('not-found');
        return emptyReply(204);
      }
      const id = await removeOwnDevice(deps.pool, { user, device });
      // Before its stream ends: its client asks why, and what it sends must not record it again.
      if (id !== undefined) await learnCutOffs(deps.cutOffs, deps.log);
      ended(user, device);
      if (id === undefined) throw new AppError('not-found');
      await start(id, deadline);
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
      'Leaves every conversation, whatever its policy says: if you are its last admin, the member who joined first becomes admin. Then it deletes your devices, key packages, claims, positions, push targets, Welcomes, consent and requests, and ends your streams. This always succeeds. If you have very many conversations, the service goes on leaving the rest after the answer. Your user id stays where others need it: in the commits and proposals that you sent and in the records of former members, as long as the conversation exists, in the answers of users who refused your request for consent, and in the audit trail for 400 days. Application messages of `mls` conversations have no sender.',
    replies: { 204: { description: 'Your data is deleted' } },
    problems: [],
    handle: async ({ caller, deadline }) => {
      await deps.eraseUser(caller.user, deadline);
      return emptyReply(204);
    },
  });
  return [list, forget, erase];
}
