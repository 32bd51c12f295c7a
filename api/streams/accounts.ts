import type pg from 'pg';
import { type Addition, readAdditions, readAdditionsTo } from '../../store/changes.ts';
import { readDeviceState, readLowDevices } from '../../store/inbox.ts';
import type { DeviceName } from '../../store/key-packages.ts';
import type { Notifier, StreamName } from '../../store/notifications.ts';
import { readFollowed } from '../../store/positions.ts';
import type { AccountStream } from './account-stream.ts';

/** Additions are told by polls for 15 s; those that were looked at are remembered for longer. */
const REMEMBER_MS = 30_000;

/** The account streams of this process, by user; it finds what concerns them beside the conversations that they follow. */
export class Accounts {
  readonly #pool: pg.Pool;
  readonly #notifier: Pick<Notifier, 'stream'>;
  readonly #onError: (error: unknown) => void;
  readonly #streams = new Map<string, Set<AccountStream>>();
  /** Keys of additions that were looked at, and when. */
  readonly #seen = new Map<number, number>();

  constructor(deps: {
    readonly pool: pg.Pool;
    readonly notifier: Pick<Notifier, 'stream'>;
    readonly onError: (error: unknown) => void;
  }) {
    this.#pool = deps.pool;
    this.#notifier = deps.notifier;
    this.#onError = deps.onError;
  }

  /** Adds a stream, and ends the older ones of the same device, wherever they are. */
  add(stream: AccountStream): void {
    let streams = this.#streams.get(stream.user);
    if (streams === undefined) this.#streams.set(stream.user, (streams = new Set()));
    streams.add(stream);
    this.announced(stream, stream.name);
    this.#notifier.stream(stream, stream.name);
  }

  delete(stream: AccountStream): void {
    const streams = this.#streams.get(stream.user);
    streams?.delete(stream);
    if (streams?.size === 0) this.#streams.delete(stream.user);
  }

  /** Somebody opened a stream of this device: of all that there are only the newest goes on. */
  announced(device: DeviceName, newest: StreamName): void {
    for (const stream of this.#of(device)) {
      if (isNewer(newest, stream.name)) stream.connection.end('replaced');
      // It does not know of this one.
      else if (isNewer(stream.name, newest)) this.#notifier.stream(stream, stream.name);
    }
  }

  /** Notifications were missed: the other processes are told again what is here. */
  announceAll(): void {
    for (const streams of this.#streams.values()) {
      for (const stream of streams) this.#notifier.stream(stream, stream.name);
    }
  }

  /** Something about a device changed. */
  async deviceChanged(device: DeviceName): Promise<void> {
    if (this.#of(device).length === 0) return;
    const state = await readDeviceState(this.#pool, device);
    for (const stream of this.#of(device)) {
      if (state.known) stream.lowStock(state);
      else stream.connection.end('replaced');
    }
  }

  /** Members were perhaps added to a conversation, at about this seq. */
  async conversationChanged(conversation: string, seq: number): Promise<void> {
    if (this.#streams.size === 0) return;
    await this.#takeIn(await readAdditionsTo(this.#pool, conversation, seq));
  }

  /** What notifications should have told. */
  async poll(): Promise<void> {
    if (this.#streams.size === 0) return;
    const old = Date.now() - REMEMBER_MS;
    for (const [key, at] of this.#seen) if (at < old) this.#seen.delete(key);
    await this.#takeIn(await readAdditions(this.#pool, [...this.#seen.keys()]));
    for (const device of await readLowDevices(this.#pool)) {
      if (this.#of(device).some((stream) => !stream.hasToldLowStock(device.lowSince))) await this.deviceChanged(device);
    }
  }

  /** Takes a conversation up for those streams of these users that do not follow it, if they may. */
  async join(conversation: string, users: readonly string[]): Promise<void> {
    const isNew = (stream: AccountStream): boolean => !stream.isFollowing(conversation);
    const streams = users.flatMap((user) => [...(this.#streams.get(user) ?? [])]).filter(isNew);
    if (streams.length === 0) return;
    for (const followed of await readFollowed(this.#pool, conversation, streams)) {
      for (const stream of this.#of(followed)) stream.follow(followed);
    }
  }

  async #takeIn(additions: readonly Addition[]): Promise<void> {
    const now = Date.now();
    await Promise.all(
      additions.map(async ({ key, conversation, users }) => {
        if (this.#seen.has(key)) return;
        try {
          await this.join(conversation, users);
          this.#seen.set(key, now);
        } catch (error) {
          // The next poll finds it again.
          this.#onError(error);
        }
      }),
    );
  }

  #of({ user, device }: DeviceName): AccountStream[] {
    return [...(this.#streams.get(user) ?? [])].filter((stream) => stream.device === device);
  }
}

function isNewer(one: StreamName, other: StreamName): boolean {
  return one.openedAt > other.openedAt || (one.openedAt === other.openedAt && one.id > other.id);
}
