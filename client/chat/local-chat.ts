import type { AccountEvent } from '../api/account-stream.ts';
import { pause } from '../api/http.ts';
import type { ParleyClient } from '../api/parley-client.ts';
import { hasCode } from '../api/problem.ts';
import type { KnownConversations } from '../api/sync-conversations.ts';
import { syncConversations } from '../api/sync-conversations.ts';
import type { Device, Policy, PushTarget } from '../api/types.ts';
import type { MlsDevice } from '../device/device.ts';
import type { MlsGroup } from '../group/group.ts';
import { newId } from '../platform/bytes.ts';
import type { DeviceStore } from '../storage/device-store.ts';
import type { Added, Chat, ChatMessage, ChatState, NewMessageOptions, Safety } from './chat.ts';
import type { ChatListeners } from './events.ts';
import { conversationOf, messagesOf, received, safetyOf } from './projection.ts';
import { isTyping, Typing, typingSignal } from './typing.ts';

/** What the chat knew of the conversations when it was there last. */
const KNOWN_KEY = 'chat/conversations';
const PAGE = 50;

export interface LocalChatParts {
  readonly api: ParleyClient;
  readonly device: MlsDevice;
  readonly store: DeviceStore;
  readonly listeners: ChatListeners;
}

/** The chat of the one program that has the device. */
export class LocalChat implements Chat {
  readonly user: string;
  readonly device: string;
  readonly on: Chat['on'];
  readonly #parts: LocalChatParts;
  readonly #stop = new AbortController();
  readonly #typing = new Typing(() => this.#changed());
  readonly #unread = new Map<string, number>();
  /** Conversations that the device is joining. */
  readonly #joining = new Set<string>();
  /** Conversations whose outboxes are being sent. */
  readonly #delivering = new Map<string, Promise<void>>();
  #known: KnownConversations = { since: '', conversations: [] };
  #connection: ChatState['connection'] = 'connecting';
  #state: ChatState | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: LocalChatParts) {
    this.#parts = parts;
    this.user = parts.device.user;
    this.device = parts.device.device;
    this.on = parts.listeners.on;
  }

  /** Loads what the device knew, and begins to follow its conversations. Needs no network. */
  async begin(): Promise<void> {
    const known = await this.#parts.store.get(KNOWN_KEY);
    if (known !== undefined) this.#know(JSON.parse(known) as KnownConversations);
    this.#running = this.#follow();
  }

  get state(): ChatState {
    this.#state ??= this.#project();
    return this.#state;
  }

  async create({ users = [], policy }: Parameters<Chat['create']>[0] = {}): Promise<string> {
    const { id } = await this.#parts.device.createGroup(policy);
    this.#changed();
    if (users.length > 0) await this.add(id, users);
    return id;
  }

  add(conversation: string, users: readonly string[]): Promise<Added> {
    return this.#act(() => this.#parts.device.invite(conversation, ...users));
  }

  remove(conversation: string, users: readonly string[]): Promise<void> {
    return this.#act(() => this.#group(conversation).remove(...users));
  }

  removeDevice(conversation: string, device: string): Promise<void> {
    return this.#act(() => this.#group(conversation).removeDevice(device));
  }

  leave(conversation: string): Promise<void> {
    return this.#act(() => this.#group(conversation).leave());
  }

  async send(conversation: string, text: string, { id = newId(), push }: NewMessageOptions = {}): Promise<string> {
    const group = this.#group(conversation);
    await group.enqueue({ id, text, at: Date.now(), ...(push === undefined ? {} : { push }) });
    this.#deliver(group);
    return id;
  }

  async retry(conversation: string, id: string): Promise<void> {
    const group = this.#group(conversation);
    await group.retry(id);
    this.#deliver(group);
  }

  cancel(conversation: string, id: string): Promise<boolean> {
    return this.#act(() => this.#group(conversation).cancel(id));
  }

  history(
    conversation: string,
    { before, limit = PAGE }: { readonly before?: string; readonly limit?: number } = {},
  ): Promise<readonly ChatMessage[]> {
    const all = messagesOf(this.#group(conversation));
    const end = before === undefined ? all.length : all.findIndex(({ id }) => id === before);
    return Promise.resolve(all.slice(Math.max(0, end - limit), Math.max(0, end)));
  }

  async delete(conversation: string, id: string): Promise<void> {
    const group = this.#group(conversation);
    const { isOwn, seq } = this.#placeOf(group, id);
    await group.delete(seq, { asAdmin: !isOwn });
    this.#tellAgain(group, seq);
  }

  async markRead(conversation: string, id?: string): Promise<void> {
    const { api } = this.#parts;
    const seq = id === undefined ? undefined : this.#placeOf(this.#group(conversation), id).seq;
    this.#unread.set(conversation, await api.markRead(conversation, seq));
    this.#changed();
  }

  async markUnread(conversation: string, id: string): Promise<void> {
    const { seq } = this.#placeOf(this.#group(conversation), id);
    this.#unread.set(conversation, await this.#parts.api.markUnread(conversation, seq - 1));
    this.#changed();
  }

  typing(conversation: string): void {
    if (!this.#typing.shallSay(conversation)) return;
    // Nobody misses one that does not arrive.
    this.#group(conversation)
      .signal(typingSignal())
      .catch(() => undefined);
  }

  async join(conversation: string): Promise<void> {
    this.#joining.add(conversation);
    this.#changed();
    try {
      this.#joined(await this.#parts.device.joinExternally(conversation));
    } finally {
      this.#joining.delete(conversation);
      this.#changed();
    }
  }

  askToJoin(conversation: string): Promise<void> {
    return this.#parts.device.askToJoin(conversation);
  }

  admit(conversation: string, ref: string): Promise<boolean> {
    return this.#act(() => this.#group(conversation).admit({ ref }));
  }

  rejoin(conversation: string): Promise<void> {
    return this.#act(() => this.#group(conversation).resync());
  }

  async policy(conversation: string): Promise<Policy> {
    return (await this.#parts.api.conversation(conversation)).policy;
  }

  safety(conversation: string): Promise<Safety> {
    return Promise.resolve(safetyOf(this.#group(conversation)));
  }

  devices(): Promise<readonly Device[]> {
    return this.#parts.api.devices();
  }

  forgetDevice(device: string): Promise<void> {
    return this.#parts.api.forgetDevice(device);
  }

  async registerPush(target: PushTarget): Promise<void> {
    await this.#parts.api.registerPush(target);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await Promise.all(this.#delivering.values());
    await this.#parts.store.close?.();
  }

  async logOut(): Promise<void> {
    const { api, store, listeners } = this.#parts;
    await api.forgetDevice(this.device);
    this.#stop.abort();
    await this.#running;
    await Promise.all(this.#delivering.values());
    const keys = await store.keys('');
    await store.write(keys.map((key) => [key, undefined]));
    await store.close?.();
    listeners.tell('ended', { why: 'logged-out' });
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
          onMessage: (group, message) => {
            this.#typing.ends(group.id, message.sender);
            if (message.sender !== this.user) this.#unread.set(group.id, (this.#unread.get(group.id) ?? 0) + 1);
            listeners.tell('message', received(group, message));
            this.#changed();
          },
          onSignal: ({ id }, { sender, data }) => {
            if (sender !== this.user && isTyping(data)) this.#typing.begins(id, sender);
          },
          onEvent: (event) => {
            attempt = 1;
            this.#see(event);
          },
          onReconnect: () => this.#connected('offline'),
          onError: (error) => this.#trouble(error),
        });
        if (isOver()) return;
        this.#stop.abort();
        listeners.tell('ended', { why: 'replaced' });
      } catch (error) {
        if (isOver()) return;
        this.#connected('offline');
        if (hasCode(error, 'unauthenticated')) {
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
        this.#connected('online');
        void this.#catchUp();
        break;
      case 'read':
        this.#unread.set(event.conversation, event.unread);
        break;
      case 'deleted': {
        const group = this.#parts.device.groups.get(event.conversation);
        if (group !== undefined) this.#tellAgain(group, event.seq);
        break;
      }
      case 'reset':
        void this.#catchUp();
        break;
      default:
    }
    this.#changed();
  }

  /** After each connection: what changed meanwhile, what waits, and what this device has not joined. */
  async #catchUp(): Promise<void> {
    const { api, device, store } = this.#parts;
    try {
      const { known } = await syncConversations(api, this.#known);
      await store.write([[KNOWN_KEY, JSON.stringify(known)]]);
      this.#know(known);
      for (const { id, role } of known.conversations) {
        const isMissing = role !== 'removed' && !device.groups.has(id) && !this.#joining.has(id);
        if (isMissing) await this.join(id).catch((error: unknown) => this.#trouble(error, id));
      }
      for (const group of device.groups.values()) this.#deliver(group);
    } catch (error) {
      this.#trouble(error);
    }
  }

  #know(known: KnownConversations): void {
    this.#known = known;
    for (const { id, unread, successor } of known.conversations) {
      this.#unread.set(id, unread);
      const group = this.#parts.device.groups.get(id);
      if (group !== undefined && successor !== undefined) group.successor ??= successor;
    }
    this.#changed();
  }

  #joined(group: MlsGroup): void {
    this.#changed();
    for (const old of this.#parts.device.groups.values()) if (old.successor === group.id) this.#deliver(old);
    this.#deliver(group);
  }

  /** Sends what waits in a group, in the background. What cannot be sent now waits for the next connection. */
  #deliver(group: MlsGroup): void {
    if (this.#delivering.has(group.id) || this.#stop.signal.aborted) return;
    const delivery = this.#sendAll(group)
      .catch((error: unknown) => this.#trouble(error, group.id))
      .finally(() => {
        this.#delivering.delete(group.id);
        this.#changed();
      });
    this.#delivering.set(group.id, delivery);
  }

  async #sendAll(group: MlsGroup): Promise<void> {
    const { groups } = this.#parts.device;
    const next = group.successor === undefined ? undefined : groups.get(group.successor);
    if (next !== undefined) {
      await group.handOver(next);
      this.#deliver(next);
      return;
    }
    if (group.isRemoved) return;
    await group.deliver();
  }

  /** A message that others and this chat know has changed. */
  #tellAgain(group: MlsGroup, seq: number): void {
    const message = group.history.find((one) => one.seq === seq && one.lost === undefined);
    if (message !== undefined) this.#parts.listeners.tell('message', received(group, message));
  }

  #connected(connection: ChatState['connection']): void {
    this.#connection = connection;
    this.#changed();
  }

  #trouble(error: unknown, conversation?: string): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#parts.listeners.tell('trouble', { message, ...(conversation === undefined ? {} : { conversation }) });
  }

  async #act<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } finally {
      this.#changed();
    }
  }

  /** Tells the state once for all changes of one moment. */
  #changed(): void {
    const isTold = this.#state === undefined;
    this.#state = undefined;
    if (isTold) return;
    queueMicrotask(() => this.#parts.listeners.tell('state', this.state));
  }

  #project(): ChatState {
    const conversations = [...this.#parts.device.groups.values()]
      .map((group) =>
        conversationOf(group, {
          unread: this.#unread.get(group.id) ?? 0,
          typing: this.#typing.in(group.id),
          isJoining: this.#joining.has(group.id),
        }),
      )
      .sort((a, b) => (b.last?.at ?? 0) - (a.last?.at ?? 0));
    const unread = conversations.reduce((sum, one) => sum + one.unread, 0);
    return { connection: this.#connection, conversations, unread };
  }

  #group(conversation: string): MlsGroup {
    return this.#parts.device.group(conversation);
  }

  #placeOf(group: MlsGroup, id: string): { readonly seq: number; readonly isOwn: boolean } {
    const found = messagesOf(group).find((one) => one.id === id);
    if (found?.state.kind !== 'seen') throw new Error(`the log of ${group.id} has no message ${id}`);
    return { seq: found.state.seq, isOwn: found.isOwn };
  }
}
