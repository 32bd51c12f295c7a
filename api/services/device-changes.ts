import type { Logger } from 'pino';
import type { DeviceName } from '../../store/key-package/key-packages.ts';
import type { StreamHub } from '../../streams/hub.ts';
import { type CutOffs, learnCutOffs } from './cut-offs.ts';
import type { SeenDevices } from './seen-devices.ts';

/** What hears of changes of a device. */
export interface DeviceChangeDeps {
  readonly cutOffs: Pick<CutOffs, 'look'>;
  readonly seen: Pick<SeenDevices, 'forget'>;
  readonly streams: Pick<StreamHub, 'wakeDevice'>;
  readonly log: Logger;
}

/**
 * Handles the notification that a device changed. If it was forgotten, this process has to refuse it first: then what it still sends does
 * not record it again, and its client, whose stream ends, hears why. A request of a new login records it.
 */
export async function deviceChanged(
  { cutOffs, seen, streams, log }: DeviceChangeDeps,
  device: DeviceName,
): Promise<void> {
  await learnCutOffs(cutOffs, log);
  seen.forget(device);
  streams.wakeDevice(device);
}
