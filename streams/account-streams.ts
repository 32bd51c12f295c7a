import type pg from 'pg';
import { type StreamState, readDeviceNews } from '../store/device/device-streams.ts';
import { readFollowedConversation } from '../store/device/positions.ts';
import type { DeviceName } from '../store/key-package/key-packages.ts';
import { type Addition, MAX_ADDITIONS, readAdditions, readAdditionsTo } from '../store/log/changes.ts';
import type { Notifier, StreamName } from '../store/log/notifications.ts';
import type { IncarnationWatch } from '../store/process/incarnation-watch.ts';
import type { AccountStream } from './account-stream.ts';
import type { AccountSubscription } from './account-subscription.ts';
import { endUnknown } from './unknown-streams.ts';

/** How long handled additions are remembered. Polls find an addition again for 15 s (`MAX_COMMIT_DELAY_S`). */
const REMEMBER_MS = 30_000;
/** Streams of one statement. */
const CHUNK = 2000;

/** To be checked: whether a user is a member of a conversation (again). */
interface MembershipCheck {
  readonly user: string;
  readonly conversation: string;
}

/**
 * The account streams of this process. Finds for them what feeds cannot know: conversations that their users were added
 * to, newer streams of the same device, forgotten devices, and low stocks of key packages.
 */
export class AccountStreams {
  readonly #pool: pg.Pool;
  readonly #incarnation: Pick<IncarnationWatch, 'current' | 'refresh'>;
  readonly #notifier: Pick<Notifier, 'stream'>;
  readonly #byUser = new Map<string, Set<AccountStream>>();
  /** Handled additions of this incarnation: key -> when, by `performance.now()`. */
  #handled = new Map<number, number>();
  /** Checks that are not done yet, or failed. */
  readonly #checks = new Set<MembershipCheck>();
  /** When the last successful poll began, by `performance.now()`. */
  #polledAt = 0;

  constructor(deps: {
    readonly pool: pg.Pool;
    readonly notifier: Pick<Notifier, 'stream'>;
    readonly incarnation: Pick<IncarnationWatch, 'current' | 'refresh'>;
  }) {
    this.#incarnation = deps.incarnation;
    this.#pool = deps.pool;
    this.#notifier = deps.notifier;
  }

  /** Adds a stream, and ends older streams of the same device, in this process and in the others. */
  add(stream: AccountStream): void {
    // Without streams there were no polls. A new stream reads by itself what happened before.
    if (this.#byUser.size === 0) this.#polledAt = performance.now();
    let streams = this.#byUser.get(stream.user);
    if (streams === undefined) this.#byUser.set(stream.user, (streams = new Set()));
    streams.add(stream);
    this.endOlder(stream, stream.name);
    this.#notifier.stream(stream, stream.name);
  }

  delete(stream: AccountStream): void {
    const streams = this.#byUser.get(stream.user);
    streams?.delete(stream);
    if (streams?.size === 0) this.#byUser.delete(stream.user);
  }

  /** Tells all streams the incarnation of the service. A restored database gives the keys of lost additions to new ones. */
  tellIncarnation(incarnation: string): void {
    this.#handled = new Map();
    for (const streams of this.#byUser.values()) for (const stream of streams) stream.tellIncarnation(incarnation);
  }

  /** Ends the streams of a device that are older than this one. */
  endOlder(device: DeviceName, newest: StreamName): void {
    for (const stream of this.#of(device)) if (isNewer(newest, stream.name)) stream.connection.end('replaced');
  }

  /** Notification: something about a device changed. */
  async deviceChanged(device: DeviceName): Promise<void> {
    await this.#deliverDeviceNews(this.#of(device));
  }

  /** Subscriptions of all devices of a user to a conversation. */
  subscriptionsTo(conversation: string, user: string): AccountSubscription[] {
    return [...(this.#byUser.get(user) ?? [])].flatMap((stream) => stream.subscriptionTo(conversation) ?? []);
  }

  /** Notification: users were perhaps added to a conversation, near this seq. */
  async conversationChanged(conversation: string, seq: number): Promise<void> {
    if (this.#byUser.size === 0) return;
    await this.#handle(await readAdditionsTo(this.#pool, conversation, seq));
  }

  /** Finds everything since the last successful poll, in case notifications were lost. */
  async poll(): Promise<void> {
    if (this.#byUser.size === 0) return;
    const startedAt = performance.now();
    const checks = [...this.#checks].map((check) => this.#run(check));
    await Promise.all([this.#pollAdditions(startedAt), this.#pollDevices(), ...checks]);
    this.#polledAt = startedAt;
  }

  /** Follows a conversation on all streams of a user, if the user is a member. After a failure the poll tries again. */
  async checkMembership(user: string, conversation: string): Promise<void> {
    const check = { user, conversation };
    this.#checks.add(check);
    await this.#run(check);
  }

  async #run(check: MembershipCheck): Promise<void> {
    await this.#follow(check.conversation, [check.user]);
    this.#checks.delete(check);
  }

  /** Follows a conversation on those streams of these users that do not follow it yet, and may. */
  async #follow(conversation: string, users: readonly string[]): Promise<void> {
    const streams = users
      .flatMap((user) => [...(this.#byUser.get(user) ?? [])])
      .filter((stream) => !stream.isFollowing(conversation));
    if (streams.length === 0) return;
    for (const followed of await readFollowedConversation(this.#pool, conversation, streams)) {
      for (const stream of this.#of(followed)) stream.follow(followed);
    }
  }

  async #pollAdditions(now: number): Promise<void> {
    for (const [key, at] of this.#handled) if (at < now - REMEMBER_MS) this.#handled.delete(key);
    const sinceS = (now - this.#polledAt) / 1000;
    let additions;
    do {
      additions = await readAdditions(this.#pool, sinceS, [...this.#handled.keys()]);
      await this.#handle(additions);
    } while (additions.length === MAX_ADDITIONS);
  }

  async #handle(additions: readonly Addition[]): Promise<void> {
    const handled = this.#handled;
    await Promise.all(
      additions.map(async ({ key, conversation, users }) => {
        if (handled.has(key)) return;
        await this.#follow(conversation, users);
        handled.set(key, performance.now());
      }),
    );
  }

  async #pollDevices(): Promise<void> {
    const streams = [...this.#byUser.values()].flatMap((ofUser) => [...ofUser]);
    for (let i = 0; i < streams.length; i += CHUNK) await this.#deliverDeviceNews(streams.slice(i, i + CHUNK));
  }

  async #deliverDeviceNews(streams: readonly AccountStream[]): Promise<void> {
    if (streams.length === 0) return;
    const byId = new Map(streams.map((stream) => [stream.name.id, stream]));
    const all = await readDeviceNews(this.#pool, streams.map(stateOf));
    for (const news of all) if (!news.ended) byId.get(news.id)?.deliverLowStock(news);
    const ended = all.flatMap((news) => (news.ended ? (byId.get(news.id) ?? []) : []));
    await endUnknown(this.#incarnation, ended);
  }

  #of({ user, device }: DeviceName): AccountStream[] {
    return [...(this.#byUser.get(user) ?? [])].filter((stream) => stream.device === device);
  }
}

function stateOf({ user, device, name: { id }, lowSince }: AccountStream): StreamState {
  return { user, device, id, lowSince };
}

function isNewer(one: StreamName, other: StreamName): boolean {
  return one.openedAt > other.openedAt || (one.openedAt === other.openedAt && one.id > other.id);
}
