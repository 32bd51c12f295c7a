import { onTestFinished } from 'vitest';
import type { DeviceOptions, MlsGroup } from '../../client/index.ts';
import { memoryStore, MlsDevice } from '../../client/index.ts';
import { tsMls } from '../../client/ts-mls/index.ts';
import type { Service } from '../../tools/harness/service.ts';

/** A device with its store, which a crash leaves, and the API process that it talks to. */
export interface TestDevice {
  readonly name: string;
  readonly device: MlsDevice;
  readonly store: ReturnType<typeof memoryStore>;
}

export interface OpenOptions extends Partial<DeviceOptions> {
  /** Index of the API process. @default 0 */
  readonly via?: number;
  /** What an earlier process of the device left. */
  readonly left?: TestDevice;
}

/** Opens devices of a running service by their names, as `alice/phone`. */
export function deviceOpener(service: () => Service): (name: string, options?: OpenOptions) => Promise<TestDevice> {
  return async (name, { via = 0, left, ...options } = {}) => {
    const [user = '', id = 'phone'] = name.split('/');
    const store = memoryStore(left?.store.entries());
    const api = service().clientOf(user, { device: id, api: via });
    const device = await MlsDevice.open({ mls: tsMls, api, user, device: id, keyPackages: 3, store, ...options });
    return { name, device, store };
  };
}

/** Follows all groups of a device live until the test ends; the answer ends it before. */
export function follow(device: MlsDevice, errors: unknown[] = []): () => Promise<void> {
  const stop = new AbortController();
  const running = device.run({ signal: stop.signal, onError: (error) => void errors.push(error) });
  running.catch((error: unknown) => void errors.push(error));
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  onTestFinished(end);
  return end;
}

/** The texts of a group, in log order. */
export function textsOf(group: MlsGroup): string[] {
  return group.history.map(({ text }) => text);
}

/** Are all in the same state (RFC 9420 §8.7)? */
export function agree(groups: readonly MlsGroup[]): boolean {
  return new Set(groups.map((group) => `${group.epoch} ${group.epochAuthenticator}`)).size === 1;
}
