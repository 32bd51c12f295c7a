import type pg from 'pg';
import { type Addition, MAX_ADDITIONS, readAdditions, readAdditionsTo } from '../store/log/changes.ts';
import { type ToldStream, readDeviceNews } from '../store/device/device-streams.ts';
import type { DeviceName } from '../store/key-package/key-packages.ts';
import type { Notifier, StreamName } from '../store/log/notifications.ts';
import { readFollowed } from '../store/device/positions.ts';
import type { AccountStream } from './account-stream.ts';

/** Additions come up in polls for 15 s; those that were looked at are remembered for longer. */
const REMEMBER_MS = 30_000;
/** Streams of one statement. */
const CHUNK = 2000;

/** Whether a user has become a member again is to be looked up. */
interface Look {
  readonly user: string;
  readonly conversation: string;
}

/** The account streams of this process, by user; it finds what concerns them beside the conversations that they follow. */
export class Accounts {
  readonly #pool: pg.Pool;
  readonly #notifier: Pick<Notifier, 'stream'>;
  readonly #streams = new Map<string, Set<AccountStream>>();
  /** Keys of additions that were looked at, and when. */
  readonly #seen = new Map<number, number>();
  /** Looks that were not made yet, or failed. */
  readonly #looks = new Set<Look>();
  /** When the last poll that found out everything began; by `performance.now()`. */
  #polledAt = 0;

  constructor(deps: { readonly pool: pg.Pool; readonly notifier: Pick<Notifier, 'stream'> }) {
    this.#pool = deps.pool;
    this.#notifier = deps.notifier;
  }

  /** Adds a stream, and ends the older ones of the same device, wherever they are. */
  add(stream: AccountStream): void {
    // What happened before, it finds by itself.
    if (this.#streams.size === 0) this.#polledAt = performance.now();
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

  /** Somebody opened a stream of this device: the older ones end. */
  announced(device: DeviceName, newest: StreamName): void {
    for (const stream of this.#of(device)) if (isNewer(newest, stream.name)) stream.connection.end('replaced');
  }

  /** Something about a device changed. */
  async deviceChanged(device: DeviceName): Promise<void> {
    await this.#tellNews(this.#of(device));
  }

  /** Members were perhaps added to a conversation, at about this seq. */
  async conversationChanged(conversation: string, seq: number): Promise<void> {
    if (this.#streams.size === 0) return;
    await this.#takeIn(await readAdditionsTo(this.#pool, conversation, seq));
  }

  /** What notifications should have told, since the last poll that found out everything. */
  async poll(): Promise<void> {
    if (this.#streams.size === 0) return;
    const startedAt = performance.now();
    await Promise.all([this.#pollAdditions(startedAt), this.#pollDevices(), ...[...this.#looks].map(this.#look)]);
    this.#polledAt = startedAt;
  }

  /** Looks whether the user has (again) become a member of a conversation; the poll tries again what fails. */
  async lookFor(user: string, conversation: string): Promise<void> {
    const look = { user, conversation };
    this.#looks.add(look);
    await this.#look(look);
  }

  /** Takes a conversation up for those streams of these users that do not follow it, if they may. */
  async #join(conversation: string, users: readonly string[]): Promise<void> {
    const isNew = (stream: AccountStream): boolean => !stream.isFollowing(conversation);
    const streams = users.flatMap((user) => [...(this.#streams.get(user) ?? [])]).filter(isNew);
    if (streams.length === 0) return;
    for (const followed of await readFollowed(this.#pool, conversation, streams)) {
      for (const stream of this.#of(followed)) stream.follow(followed);
    }
  }

  readonly #look = async (look: Look): Promise<void> => {
    await this.#join(look.conversation, [look.user]);
    this.#looks.delete(look);
  };

  async #pollAdditions(now: number): Promise<void> {
    for (const [key, at] of this.#seen) if (at < now - REMEMBER_MS) this.#seen.delete(key);
    const sinceS = (now - this.#polledAt) / 1000;
    let additions;
    do {
      additions = await readAdditions(this.#pool, sinceS, [...this.#seen.keys()]);
      await this.#takeIn(additions);
    } while (additions.length === MAX_ADDITIONS);
  }

  async #pollDevices(): Promise<void> {
    const streams = [...this.#streams.values()].flatMap((some) => [...some]);
    for (let i = 0; i < streams.length; i += CHUNK) await this.#tellNews(streams.slice(i, i + CHUNK));
  }

  async #tellNews(streams: readonly AccountStream[]): Promise<void> {
    if (streams.length === 0) return;
    const byId = new Map(streams.map((stream) => [stream.name.id, stream]));
    for (const news of await readDeviceNews(this.#pool, streams.map(toldBy))) {
      const stream = byId.get(news.id);
      if (news.ended) stream?.connection.end('replaced');
      else stream?.lowStock(news);
    }
  }

  async #takeIn(additions: readonly Addition[]): Promise<void> {
    await Promise.all(
      additions.map(async ({ key, conversation, users }) => {
        if (this.#seen.has(key)) return;
        await this.#join(conversation, users);
        this.#seen.set(key, performance.now());
      }),
    );
  }

  #of({ user, device }: DeviceName): AccountStream[] {
    return [...(this.#streams.get(user) ?? [])].filter((stream) => stream.device === device);
  }
}

function toldBy({ user, device, name: { id }, lowSince }: AccountStream): ToldStream {
  return { user, device, id, lowSince };
}

function isNewer(one: StreamName, other: StreamName): boolean {
  return one.openedAt > other.openedAt || (one.openedAt === other.openedAt && one.id > other.id);
}
