import { setTimeout as sleep } from 'node:timers/promises';
import type { ParleyClient } from '../api/parley-client.ts';
import type { AccountEvent } from '../api/account-stream.ts';
import type { MlsGroup } from '../group/group.ts';
import type { ReceivedMessage } from '../storage/group-store.ts';

/** Told messages, in the order of each group's log. */
export type MessageListener = (group: MlsGroup, message: ReceivedMessage) => void;

/** What a live run needs of a device. */
export interface LiveDevice {
  readonly groups: ReadonlyMap<string, MlsGroup>;
  readonly keyPackages: { readonly topUp: () => Promise<void> };
  readonly joinGroups: () => Promise<MlsGroup[]>;
  readonly noteProgress: (group: MlsGroup) => void;
  readonly ack: () => Promise<void>;
  readonly onMessage: (listener: MessageListener) => () => void;
}

export interface LiveRunOptions {
  readonly signal?: AbortSignal;
  readonly onMessage?: MessageListener;
  /** Told each group that the device came into. */
  readonly onJoin?: (group: MlsGroup) => void;
  /** Told every event once it has been dealt with. */
  readonly onEvent?: (event: AccountEvent) => void;
  /** Told what went wrong in one group; the others go on. @default nobody */
  readonly onError?: (error: unknown) => void;
  readonly onReconnect?: (reason: string) => void;
}

/** Those who see a proposal spread over this time, so that mostly one of them commits it. */
const SETTLE_SPREAD_MS = 500;

/** Keeps all groups of a device in step with the service: one stream, its events dealt with one after the other. */
export async function runLive(
  device: LiveDevice,
  api: Pick<ParleyClient, 'followAll'>,
  options: LiveRunOptions,
): Promise<void> {
  const { signal, onReconnect } = options;
  const stop = new AbortController();
  const signals = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const settling = new Map<MlsGroup, Promise<void>>();
  const attempt = async (task: () => Promise<unknown>): Promise<void> => {
    try {
      await task();
    } catch (error) {
      options.onError?.(error);
    }
  };
  const settleSoon = (group: MlsGroup): void => {
    if (settling.has(group)) return;
    const task = async (): Promise<void> => {
      await sleep(Math.random() * SETTLE_SPREAD_MS, undefined, { signal: signals });
      settling.delete(group);
      if (!group.isRemoved) await attempt(() => group.settle());
    };
    settling.set(
      group,
      task().catch(() => undefined),
    );
  };
  const live = new LiveEvents(device, options, settleSoon);
  const quiet = options.onMessage === undefined ? undefined : device.onMessage(options.onMessage);
  try {
    await attempt(() => live.join());
    for await (const event of api.followAll({
      signal: signals,
      ...(onReconnect === undefined ? {} : { onReconnect }),
    })) {
      await attempt(() => live.handle(event));
      options.onEvent?.(event);
    }
  } finally {
    stop.abort();
    await Promise.all(settling.values());
    quiet?.();
    await attempt(() => device.ack());
  }
}

class LiveEvents {
  readonly #device: LiveDevice;
  readonly #options: LiveRunOptions;
  readonly #settleSoon: (group: MlsGroup) => void;

  constructor(device: LiveDevice, options: LiveRunOptions, settleSoon: (group: MlsGroup) => void) {
    this.#device = device;
    this.#options = options;
    this.#settleSoon = settleSoon;
  }

  async join(): Promise<void> {
    for (const group of await this.#device.joinGroups()) this.#options.onJoin?.(group);
  }

  async handle(event: AccountEvent): Promise<void> {
    if (event.type === 'low-stock') return this.#device.keyPackages.topUp();
    if (event.type === 'welcome') return this.join();
    const group = this.#device.groups.get(event.conversation);
    if (group === undefined) return;
    switch (event.type) {
      case 'entry':
        await group.take(event.entry);
        this.#device.noteProgress(group);
        if (event.entry.kind === 'proposal' || (event.entry.kind === 'commit' && group.keepsJoinersOut)) {
          this.#settleSoon(group);
        }
        break;
      case 'member':
        if (event.change === 'removed') this.#settleSoon(group);
        break;
      case 'removed':
        await group.receive();
        break;
      case 'history-truncated':
        await group.resync();
        this.#device.noteProgress(group);
        break;
      case 'reset':
        group.successor ??= event.successor;
        break;
      case 'conversation':
        if (event.change === 'deleted') await group.close();
        break;
    }
  }
}
