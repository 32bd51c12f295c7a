import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type pg from 'pg';
import { touchDevices } from '../../store/device/devices.ts';
import type { DeviceName } from '../../store/key-package/key-packages.ts';

/** Devices remembered as noted; some 200 bytes each. */
const REMEMBERED = 100_000;
/** How exact `seenAt` is. */
const EVERY_MS = 3_600_000;
/** Devices of one statement. */
const MAX_TOUCHED = 1000;

/** Puts the devices that ask for anything on record. */
export interface SeenDevices {
  /** Notes a device, in the background and at most once an hour. */
  readonly note: (device: DeviceName) => void;
  /** It is on record no more: its next request puts it there again. */
  readonly forget: (device: DeviceName) => void;
  /** When everything that was noted before is in the database, or failed to be. */
  readonly settled: () => Promise<void>;
}

/** One statement for many devices: those that come while one runs wait for the next. */
export function makeSeenDevices({ pool, log }: { readonly pool: pg.Pool; readonly log: Logger }): SeenDevices {
  const known = new LRUCache<string, true>({ max: REMEMBERED, ttl: EVERY_MS });
  let waiting = new Map<string, DeviceName>();
  let running: Promise<void> | undefined;

  // Neither id has control characters.
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
        // Its next request tries again.
        for (const [key] of devices) known.delete(key);
        log.warn({ err: error }, 'devices not noted');
      }
    }
    running = undefined;
  };
  return {
    note: ({ user, device }) => {
      const key = keyOf({ user, device });
      if (known.get(key) === true) return;
      known.set(key, true);
      waiting.set(key, { user, device });
      running ??= flush();
    },
    forget: (device) => void known.delete(keyOf(device)),
    settled: async () => {
      await running;
    },
  };
}
