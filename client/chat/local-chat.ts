import type { AccountEvent } from '../api/account-stream.ts';
import { pause } from '../api/http.ts';
import type { ParleyClient } from '../api/parley-client.ts';
import { documentOf, hasCode, ProblemError, problemOf } from '../api/problem.ts';
import type { Device, Policy, PushTarget } from '../api/types.ts';
import type { MlsDevice } from '../device/device.ts';
import type { MlsGroup } from '../group/group.ts';
import { newGroupId } from '../device/device.ts';
import { newId } from '../platform/bytes.ts';
import type {
  Added,
  Chat,
  ChatEvents,
  ChatMessage,
  ChatState,
  NewChatOptions,
  NewMessageOptions,
  Safety,
} from './chat.ts';
import type { ChatStore } from './chat-store.ts';
import { ChatClosedError } from './closed.ts';
import { Deliveries } from './deliveries.ts';
import type { ChatListeners } from './events.ts';
import { Memberships } from './memberships.ts';
import { idOf, messagesOf, received, safetyOf } from './projection.ts';
import { ShownState } from './shown-state.ts';
import { isTyping, typingSignal } from './typing.ts';
import { Unread } from './unread.ts';

const PAGE = 50;

export interface LocalChatParts {
  readonly api: ParleyClient;
  readonly device: MlsDevice;
  readonly store: ChatStore;
  readonly listeners: ChatListeners;
}

/** The chat of the one program that has the device. */
export class LocalChat implements Chat {
  readonly user: string;
  readonly device: string;
  readonly on: Chat['on'];
  readonly #parts: LocalChatParts;
  #stop = new AbortController();
  readonly #unread: Unread;
  readonly #shown: ShownState;
  readonly #memberships: Memberships;
  readonly #deliveries: Deliveries;
  /** Calls of the app, and what goes on beside the stream: the end waits for them. */
  readonly #calls = new Set<Promise<unknown>>();
  #running: Promise<void> = Promise.resolve();
  #loggingOut: Promise<void> | undefined;
  #isClosed = false;

  constructor(parts: LocalChatParts) {
    this.#parts = parts;
    this.user = parts.device.user;
    this.device = parts.device.device;
    this.on = parts.listeners.on;
    this.#unread = new Unread(parts.store, this.user);
    const { groups } = parts.device;
    this.#shown = new ShownState({
      ...{ groups, unread: this.#unread },
      tell: (state) => parts.listeners.tell('state', state),
    });
    this.#memberships = new Memberships({
      ...{ api: parts.api, device: parts.device, store: parts.store, shown: this.#shown, unread: this.#unread },
      signal: () => this.#stop.signal,
      onJoin: (group) => this.#joined(group),
      onError: (error, conversation) => this.#trouble(error, conversation),
    });
    this.#deliveries = new Deliveries({
      successorOf: ({ successor = '' }) => groups.get(successor),
      isOnline: () => this.#shown.isOnline,
      onError: (error, conversation) => this.#trouble(error, conversation),
      onHandedOver: (id, conversation) => parts.listeners.tell('cancelled', { conversation, id }),
      onEnd: () => this.#shown.changed(),
      signal: () => this.#stop.signal,
    });
    this.on('log', ({ conversation, event }) => this.#seeLog(conversation, event));
    // Not only while it follows: a call of the app may read what is new, too.
    parts.device.onMessage((group, message) => {
      this.#shown.typing.ends(group.id, message.sender);
      parts.listeners.tell('message', received(group, message));
    });
    this.on('message', () => this.#shown.changed());
  }

  /** Loads what the device knew, and begins to follow its conversations. Needs no network. */
  async begin(): Promise<void> {
    await this.#memberships.load();
    await this.#unread.load();
    this.#running = this.#follow();
  }

  get state(): ChatState {
    return this.#shown.now;
  }

  create({ users = [], policy, id = newGroupId() }: NewChatOptions = {}): Promise<string> {
    return this.#act(async () => {
      await this.#memberships.create(id, policy);
      if (users.length > 0) await this.add(id, users);
      return id;
    });
  }

  add(conversation: string, users: readonly string[]): Promise<Added> {
    return this.#act(() => this.#parts.device.invite(this.#joinedGroup(conversation).id, ...users));
  }

  remove(conversation: string, users: readonly string[]): Promise<void> {
    return this.#act(() => this.#joinedGroup(conversation).remove(...users));
  }

  removeDevice(conversation: string, device: string): Promise<void> {
    return this.#act(() => this.#joinedGroup(conversation).removeDevice(device));
  }

  leave(conversation: string): Promise<void> {
    return this.#act(async () => {
      const group = this.#group(conversation);
      // Asked again, or another device of the user was faster.
      if (group.isRemoved && (await this.#memberships.hasLeft(conversation))) return;
      try {
        await this.#joinedGroup(conversation).leave();
      } catch (error) {
        if (!hasCode(error, 'removed') || !(await this.#memberships.hasLeft(conversation))) throw error;
        await group.receive();
      }
    });
  }

  send(conversation: string, text: string, { id = newId(), push }: NewMessageOptions = {}): Promise<string> {
    return this.#act(async () => {
      const group = this.#joinedGroup(conversation);
      await group.enqueue({ id, text, at: Date.now(), ...(push === undefined ? {} : { push }) });
      this.#deliveries.begin(this.#group(conversation));
      return idOf(group, group.ownDevice, id);
    });
  }

  retry(conversation: string, id: string): Promise<void> {
    return this.#act(async () => {
      const group = this.#group(conversation);
      await group.retry(statedId(group, id));
      this.#deliveries.begin(group);
    });
  }

  cancel(conversation: string, id: string): Promise<boolean> {
    return this.#act(async () => {
      const group = this.#group(conversation);
      if (await group.cancel(statedId(group, id))) {
        this.#parts.listeners.tell('cancelled', { conversation, id });
        return true;
      }
      // Asked again: it is gone, unless the log has it, or is about to, or the successor has it.
      const { successor = '' } = group;
      const places = [group, this.#parts.device.groups.get(successor)];
      return !places.some((one) => one !== undefined && messagesOf(one).some((message) => message.id === id));
    });
  }

  history(
    conversation: string,
    { before, limit = PAGE }: { readonly before?: string; readonly limit?: number } = {},
  ): Promise<readonly ChatMessage[]> {
    return this.#ask(() => {
      const all = messagesOf(this.#group(conversation));
      const end = before === undefined ? all.length : all.findIndex(({ id }) => id === before);
      return all.slice(Math.max(0, end - limit), Math.max(0, end));
    });
  }

  delete(conversation: string, id: string): Promise<void> {
    return this.#act(async () => {
      const group = this.#group(conversation);
      const { isOwn, seq } = this.#placeOf(group, id);
      await group.delete(seq, { asAdmin: !isOwn });
    });
  }

  markRead(conversation: string, id?: string): Promise<void> {
    return this.#act(async () => {
      const group = this.#group(conversation);
      const seq = id === undefined ? group.position : this.#placeOf(group, id).seq;
      await this.#parts.api.markRead(conversation, seq);
      await this.#unread.take(conversation, { upTo: seq, unread: 0 });
    });
  }

  markUnread(conversation: string, id: string): Promise<void> {
    return this.#act(async () => {
      const { seq } = this.#placeOf(this.#group(conversation), id);
      await this.#parts.api.markUnread(conversation, seq - 1);
      await this.#unread.take(conversation, { upTo: seq - 1, unread: 0 });
    });
  }

  typing(conversation: string): void {
    const group = this.#parts.device.groups.get(conversation);
    if (group === undefined || group.isRemoved || !this.#shown.typing.shallSay(conversation)) return;
    // Nobody misses one that does not arrive.
    group.signal(typingSignal()).catch(() => undefined);
  }

  join(conversation: string): Promise<void> {
    return this.#act(() => this.#memberships.join(conversation));
  }

  askToJoin(conversation: string): Promise<void> {
    return this.#act(() => this.#parts.device.askToJoin(conversation));
  }

  admit(conversation: string, ref: string): Promise<boolean> {
    return this.#act(() => this.#joinedGroup(conversation).admit({ ref }));
  }

  rejoin(conversation: string): Promise<void> {
    return this.#act(() => this.#joinedGroup(conversation).resync());
  }

  policy(conversation: string): Promise<Policy> {
    return this.#ask(async () => (await this.#parts.api.conversation(conversation)).policy);
  }

  safety(conversation: string): Promise<Safety> {
    return this.#ask(() => safetyOf(this.#group(conversation)));
  }

  devices(): Promise<readonly Device[]> {
    return this.#ask(() => this.#parts.api.devices());
  }

  forgetDevice(device: string): Promise<void> {
    return this.#ask(() => this.#parts.api.forgetDevice(device));
  }

  registerPush(target: PushTarget): Promise<void> {
    return this.#ask(async () => {
      await this.#parts.api.registerPush(target);
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#loggingOut?.catch(() => undefined);
    await this.#end();
    await this.#parts.store.close();
  }

  logOut(): Promise<void> {
    if (this.#isClosed) return Promise.reject(new ChatClosedError());
    this.#loggingOut ??= this.#logOut().finally(() => (this.#loggingOut = undefined));
    return this.#loggingOut;
  }

  async #logOut(): Promise<void> {
    const { api, device, store, listeners } = this.#parts;
    // Members who can read the group list no server that may ask for it. So the device asks for its removal itself.
    for (const group of device.groups.values()) await group.resign().catch(() => undefined);
    // First: a request that is under way would make the device known again.
    await this.#end();
    try {
      await api.forgetDevice(this.device);
    } catch (error) {
      // A try before this one was successful.
      if (!hasCode(error, 'unauthenticated', 'removed', 'not-found')) {
        if (!this.#isClosed) this.#goOn();
        throw error;
      }
    }
    await store.erase();
    this.#isClosed = true;
    listeners.tell('ended', { why: 'logged-out' });
  }

  #goOn(): void {
    this.#stop = new AbortController();
    this.#running = this.#follow();
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#deliveries.end();
    while (this.#calls.size > 0) await Promise.allSettled(this.#calls);
    this.#shown.connected('offline');
  }

  /** Follows all conversations until the chat is closed, or another program takes its place. */
  async #follow(): Promise<void> {
    const { device, listeners } = this.#parts;
    const { signal } = this.#stop;
    const isOver = (): boolean => signal.aborted;
    for (let attempt = 1; !isOver(); attempt++) {
      try {
        await device.run({
          signal,
          onJoin: (group) => this.#joined(group),
          onSignal: ({ id }, { sender, data }) => {
            if (sender !== this.user && isTyping(data)) this.#shown.typing.begins(id, sender);
          },
          onEvent: (event) => {
            attempt = 1;
            this.#see(event);
          },
          onReconnect: () => this.#shown.connected('offline'),
          onError: (error) => this.#trouble(error),
        });
        if (isOver()) return;
        // A stream of a device that was forgotten ends in the same way.
        await this.#parts.api.keyPackageCount();
        this.#stop.abort();
        listeners.tell('ended', { why: 'replaced' });
      } catch (error) {
        if (isOver()) return;
        this.#shown.connected('offline');
        if (hasCode(error, 'unauthenticated', 'removed')) {
          this.#stop.abort();
          listeners.tell('ended', { why: 'unauthenticated' });
          return;
        }
        this.#trouble(error);
        await pause(attempt, error, signal).catch(() => undefined);
      }
    }
  }

  #see(event: AccountEvent): void {
    switch (event.type) {
      case 'service':
        this.#shown.connected('online');
        for (const group of this.#parts.device.groups.values()) this.#deliveries.begin(group);
        this.#inBackground(() => this.#memberships.catchUp());
        break;
      case 'conversation':
        if (event.change === 'new') this.#inBackground(() => this.#memberships.joinSoon(event.conversation, event.seq));
        break;
      case 'read':
        // Its count may have messages that are still on their way here.
        this.#inBackground(() => this.#unread.take(event.conversation, { upTo: event.seq, unread: 0 }));
        break;
      case 'reset':
        // Who made the successor is about to send Welcomes: a join without one would miss the first messages.
        for (const group of this.#parts.device.groups.values()) this.#deliveries.begin(group);
        break;
      default:
    }
    this.#shown.changed();
  }

  #joined(group: MlsGroup): void {
    this.#shown.changed();
    for (const old of this.#parts.device.groups.values()) if (old.successor === group.id) this.#deliveries.begin(old);
    this.#deliveries.begin(group);
  }

  /** Messages of others and of this device may be lost, or found again. */
  #seeLog(conversation: string, event: ChatEvents['log']['event']): void {
    const group = this.#parts.device.groups.get(conversation);
    if (group === undefined) return;
    if (event.type === 'message-found') this.#tellAgain(group, event.seq);
    if (event.type !== 'log-restarted') return;
    this.#inBackground(() => this.#unread.lose(conversation, event.agreed));
    for (const one of group.history) {
      if (one.lost !== undefined) this.#parts.listeners.tell('message', received(group, one));
    }
  }

  /** A message that others and this chat know has changed. */
  #tellAgain(group: MlsGroup, seq: number): void {
    const message = group.history.find((one) => one.seq === seq && one.lost === undefined);
    if (message !== undefined) this.#parts.listeners.tell('message', received(group, message));
  }

  /** What the app did not ask for, and what the end waits for. */
  #inBackground(act: () => Promise<void>): void {
    const { signal } = this.#stop;
    this.#act(act).catch((error: unknown) => {
      if (!signal.aborted) this.#trouble(error);
    });
  }

  #trouble(error: unknown, conversation?: string): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#parts.listeners.tell('trouble', {
      ...(conversation === undefined ? {} : { conversation }),
      ...{ message, ...(error instanceof ProblemError ? { problem: documentOf(error) } : {}) },
    });
  }

  /** What changes something. */
  #act<T>(act: () => Promise<T>): Promise<T> {
    return this.#ask(act).finally(() => this.#shown.changed());
  }

  /** A call of the app, or a task in the background. */
  #ask<T>(ask: () => T | Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(new ChatClosedError());
    const call = (async () => ask())();
    this.#calls.add(call);
    return call.finally(() => this.#calls.delete(call));
  }

  #group(conversation: string): MlsGroup {
    const group = this.#parts.device.groups.get(conversation);
    if (group === undefined) throw problemOf(404, 'not-found', 'This device is not in the conversation');
    return group;
  }

  /** The group, of which this device is a member. */
  #joinedGroup(conversation: string): MlsGroup {
    const group = this.#group(conversation);
    if (group.isRemoved) throw problemOf(403, 'removed', 'You were removed from this conversation');
    return group;
  }

  #placeOf(group: MlsGroup, id: string): { readonly seq: number; readonly isOwn: boolean } {
    const found = messagesOf(group).find((one) => one.id === id && one.state.kind === 'seen');
    if (found?.state.kind !== 'seen') throw problemOf(404, 'not-found', 'The log has no such message');
    return { seq: found.state.seq, isOwn: found.isOwn };
  }
}

/** The id with which the group knows a message that waits. */
function statedId(group: MlsGroup, id: string): string {
  return group.outbox.find((one) => idOf(group, group.ownDevice, one.id) === id)?.id ?? id;
}
