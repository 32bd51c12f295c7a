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
  /** What the device has to ask at its start. */
  readonly begin: () => Promise<void>;
  readonly joinGroups: () => Promise<MlsGroup[]>;
  readonly acknowledgeSoon: (group: MlsGroup) => void;
  readonly ack: () => Promise<void>;
  readonly onMessage: (listener: MessageListener) => () => void;
  readonly onSignal: (listener: SignalListener) => () => void;
  /** Each stream says which incarnation of the service it is. */
  readonly meet: (incarnation: string) => Promise<void>;
}

/** Whom a device that follows its groups tells what. */
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
/** Pause before another try to repair a group after a restart: it may need what another member does. */
const SETTLE_AGAIN_MS = 5_000;

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
  const settling = new Map<MlsGroup, Promise<void>>();
  /** Ends one stream, so that the next one starts. */
  let next = new AbortController();
  /** Groups whose first attempt is under way. The last of them starts the next stream, which brings all of them back. */
  let busy = 0;
  const settleSoon = (group: MlsGroup, isCompared = true): void => {
    if (settling.has(group)) return;
    busy++;
    const task = async (): Promise<void> => {
      let isKnown = isCompared;
      const isOver = (): boolean => signals.aborted || (isKnown && !group.isRestarting);
      const settle = async (): Promise<void> => {
        if (!isKnown) await group.compare();
        isKnown = true;
        await group.settle();
      };
      await attempt(settle);
      busy--;
      while (!isOver()) {
        await attempt(settle);
        if (!isOver()) await sleep(SETTLE_AGAIN_MS, signals);
      }
      settling.delete(group);
      // The service has taken the conversation out of the stream.
      await attempt(() => device.ack());
      if (busy === 0) next.abort();
    };
    settling.set(
      group,
      task().catch(() => undefined),
    );
  };
  const live = new LiveEvents(device, options, { commitSoon, settleSoon });
  const removeListeners = [
    ...(options.onMessage === undefined ? [] : [device.onMessage(options.onMessage)]),
    ...(options.onSignal === undefined ? [] : [device.onSignal(options.onSignal)]),
  ];
  try {
    await attempt(() => device.begin());
    await attempt(() => live.join());
    do {
      next = new AbortController();
      for await (const event of api.followAll({
        signal: AbortSignal.any([signals, next.signal]),
        ...(onReconnect === undefined ? {} : { onReconnect }),
      })) {
        await attempt(() => live.handle(event));
        options.onEvent?.(event);
      }
    } while (next.signal.aborted && !signals.aborted);
  } finally {
    stop.abort();
    await Promise.all([...commits.values(), ...settling.values()]);
    for (const remove of removeListeners) remove();
    await attempt(() => device.ack());
  }
}

/** What is done while other events go on. */
interface LaterTasks {
  readonly commitSoon: (group: MlsGroup) => void;
  /** @param isCompared the group has noticed the restart already @default true */
  readonly settleSoon: (group: MlsGroup, isCompared?: boolean) => void;
}

class LiveEvents {
  readonly #device: LiveDevice;
  readonly #options: LiveRunOptions;
  readonly #later: LaterTasks;

  constructor(device: LiveDevice, options: LiveRunOptions, later: LaterTasks) {
    this.#device = device;
    this.#options = options;
    this.#later = later;
  }

  async #meet(incarnation: string): Promise<void> {
    await this.#device.meet(incarnation);
    for (const group of this.#device.groups.values()) if (group.isRestarting) this.#later.settleSoon(group);
  }

  async join(): Promise<void> {
    for (const group of await this.#device.joinGroups()) this.#options.onJoin?.(group);
  }

  async handle(event: AccountEvent): Promise<void> {
    if (event.type === 'low-stock') return this.#device.keyPackages.topUp();
    if (event.type === 'welcome') return this.join();
    if (event.type === 'service') return this.#meet(event.incarnation);
    const group = this.#device.groups.get(event.conversation);
    if (group === undefined) return;
    switch (event.type) {
      case 'entry':
        await group.process(event.entry);
        if (group.isRestarting) {
          this.#later.settleSoon(group);
          break;
        }
        this.#device.acknowledgeSoon(group);
        if (event.entry.kind === 'proposal' || (event.entry.kind === 'commit' && group.blocksJoiners)) {
          this.#later.commitSoon(group);
        }
        break;
      case 'signal':
        await group.processSignal(event.data);
        break;
      case 'member':
      case 'members':
        if (event.change === 'removed') this.#later.commitSoon(group);
        break;
      case 'removed':
        await group.receive();
        break;
      case 'log-restarted':
        // What the event says may be over: the group may have noticed by itself, and have gone on. So it asks, until it has an answer.
        if (!group.isRemoved) this.#later.settleSoon(group, false);
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
          this.#later.commitSoon(group);
        }
        // Else the service tells of it again at each start.
        if (event.change === 'new') this.#device.acknowledgeSoon(group);
        break;
    }
  }
}
