import type { AccountEvent } from '../api/account-stream.ts';
import type { ParleyClient } from '../api/parley-client.ts';
import type { MlsGroup } from '../group/group.ts';
import type { ReceivedSignal } from '../group/group-signals.ts';
import { sleep } from '../platform/sleep.ts';
import type { ReceivedMessage } from '../storage/group-store.ts';

/** Called with each message, in the order of each group's log. */
export type MessageListener = (group: MlsGroup, message: ReceivedMessage) => void;

/** Called with each signal of another device. */
export type SignalListener = (group: MlsGroup, signal: ReceivedSignal) => void;

/** The parts of a device that a live run needs. */
export interface LiveDevice {
  readonly groups: ReadonlyMap<string, MlsGroup>;
  readonly keyPackages: { readonly topUp: () => Promise<void> };
  readonly joinGroups: () => Promise<MlsGroup[]>;
  readonly acknowledgeSoon: (group: MlsGroup) => void;
  readonly ack: () => Promise<void>;
  readonly onMessage: (listener: MessageListener) => () => void;
  readonly onSignal: (listener: SignalListener) => () => void;
}

export interface LiveRunOptions {
  readonly signal?: AbortSignal;
  readonly onMessage?: MessageListener;
  readonly onSignal?: SignalListener;
  /** Called with each group that the device joined. */
  readonly onJoin?: (group: MlsGroup) => void;
  /** Called with every event after it was processed. */
  readonly onEvent?: (event: AccountEvent) => void;
  /** Called with each failure in one group; the other groups continue. @default failures are ignored */
  readonly onError?: (error: unknown) => void;
  /** Called with the reason each time before the stream connects again. */
  readonly onReconnect?: (reason: string) => void;
}

/** Upper limit of the random wait before a device commits a proposal, so that mostly only one device commits it. */
const COMMIT_SPREAD_MS = 500;

/** Keeps all groups of a device in step with the service: one stream, whose events are processed one after the other. */
export async function runLive(
  device: LiveDevice,
  api: Pick<ParleyClient, 'followAll'>,
  options: LiveRunOptions,
): Promise<void> {
  const { signal, onReconnect } = options;
  const stop = new AbortController();
  const signals = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const commits = new Map<MlsGroup, Promise<void>>();
  const attempt = async (task: () => Promise<unknown>): Promise<void> => {
    try {
      await task();
    } catch (error) {
      options.onError?.(error);
    }
  };
  const commitSoon = (group: MlsGroup): void => {
    if (commits.has(group)) return;
    const task = async (): Promise<void> => {
      await sleep(Math.random() * COMMIT_SPREAD_MS, signals);
      commits.delete(group);
      if (!group.isRemoved) await attempt(() => group.commitPending());
    };
    commits.set(
      group,
      task().catch(() => undefined),
    );
  };
  const live = new LiveEvents(device, options, commitSoon);
  const removeListeners = [
    ...(options.onMessage === undefined ? [] : [device.onMessage(options.onMessage)]),
    ...(options.onSignal === undefined ? [] : [device.onSignal(options.onSignal)]),
  ];
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
    await Promise.all(commits.values());
    for (const remove of removeListeners) remove();
    await attempt(() => device.ack());
  }
}

class LiveEvents {
  readonly #device: LiveDevice;
  readonly #options: LiveRunOptions;
  readonly #commitSoon: (group: MlsGroup) => void;

  constructor(device: LiveDevice, options: LiveRunOptions, commitSoon: (group: MlsGroup) => void) {
    this.#device = device;
    this.#options = options;
    this.#commitSoon = commitSoon;
  }

  async join(): Promise<void> {
    for (const group of await this.#device.joinGroups()) this.#options.onJoin?.(group);
  }

  async handle(event: AccountEvent): Promise<void> {
    if (event.type === 'low-stock') return this.#device.keyPackages.topUp();
    if (event.type === 'welcome') return this.join();
    if (event.type === 'service') return;
    const group = this.#device.groups.get(event.conversation);
    if (group === undefined) return;
    switch (event.type) {
      case 'entry':
        await group.process(event.entry);
        this.#device.acknowledgeSoon(group);
        if (event.entry.kind === 'proposal' || (event.entry.kind === 'commit' && group.blocksJoiners)) {
          this.#commitSoon(group);
        }
        break;
      case 'signal':
        await group.processSignal(event.data);
        break;
      case 'member':
      case 'members':
        if (event.change === 'removed') this.#commitSoon(group);
        break;
      case 'removed':
        await group.receive();
        break;
      case 'history-truncated':
        await group.resync({ kind: 'history-truncated' });
        this.#device.acknowledgeSoon(group);
        break;
      case 'deleted':
        await group.forgetText(event.seq);
        break;
      case 'read':
        // Badges are the app's: `onEvent`.
        break;
      case 'reset':
        group.successor ??= event.successor;
        break;
      case 'conversation':
        if (event.change === 'deleted') await group.close();
        if (event.change === 'several') {
          // Messages that were deleted may be among what it stands for.
          await group.receive();
          this.#commitSoon(group);
        }
        // Else the service tells of it again at each start.
        if (event.change === 'new') this.#device.acknowledgeSoon(group);
        break;
    }
  }
}
