import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type pg from 'pg';
import { MAX_DEVICES_PER_USER } from '../../domain/limits.ts';
import { admitDevice, touchDevices } from '../../store/device/devices.ts';
import type { DeviceName } from '../../store/key-package/key-packages.ts';

/** Recorded devices in the cache. Each needs about 200 bytes. */
const MAX_CACHED = 100_000;
/** Precision of `seenAt`: a device is recorded at most once in this time. */
const EVERY_MS = 3_600_000;
/** Number of devices in one SQL statement. */
const MAX_TOUCHED = 1000;

/** Records every device that sends a request. */
export interface SeenDevices {
  /** Records a device, in the background and at most once an hour. */
  readonly note: (device: DeviceName) => void;
  /**
   * Records a device that its client named, at most once an hour.
   * @returns false if the user has `MAX_DEVICES_PER_USER` others
   */
  readonly admit: (device: DeviceName) => boolean | Promise<boolean>;
  /** Removes a device from the cache, so that its next request records it again. */
  readonly forget: (device: DeviceName) => void;
  /** Like `forget`, for all devices. */
  readonly forgetAll: () => void;
  /** Waits until all devices that were noted before are in the database, or their statement has failed. */
  readonly settled: () => Promise<void>;
}

/** Writes many devices with one statement. Devices that come while a statement runs wait for the next one. */
export function makeSeenDevices({ pool, log }: { readonly pool: pg.Pool; readonly log: Logger }): SeenDevices {
  const recorded = new LRUCache<string, true>({ max: MAX_CACHED, ttl: EVERY_MS });
  let waiting = new Map<string, DeviceName>();
  let running: Promise<void> | undefined;

  // A NUL can separate the ids, because they have no control characters.
  const keyOf = ({ user, device }: DeviceName): string => `${user}\0${device}`;
  const flush = async (): Promise<void> => {
    while (waiting.size > 0) {
      const devices = [...waiting].slice(0, MAX_TOUCHED);
      waiting = new Map([...waiting].slice(MAX_TOUCHED));
      try {
        await touchDevices(
          pool,
          devices.map(([, device]) => device),
        );
      } catch (error) {
        // The next request of each device tries again.
        for (const [key] of devices) recorded.delete(key);
        log.warn({ err: error }, 'devices were not recorded');
      }
    }
    running = undefined;
  };
  return {
    note: ({ user, device }) => {
      const key = keyOf({ user, device });
      if (recorded.get(key) === true) return;
      recorded.set(key, true);
      waiting.set(key, { user, device });
      running ??= flush();
    },
    admit: (device) => {
      const key = keyOf(device);
      if (recorded.get(key) === true) return true;
      return admitDevice(pool, device, MAX_DEVICES_PER_USER).then((isAdmitted) => {
        if (isAdmitted) recorded.set(key, true);
        return isAdmitted;
      });
    },
    forget: (device) => void recorded.delete(keyOf(device)),
    forgetAll: () => recorded.clear(),
    settled: async () => {
      await running;
    },
  };
}
