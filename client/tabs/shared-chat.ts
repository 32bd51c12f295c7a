import { pause } from '../api/http.ts';
import { ProblemError } from '../api/problem.ts';
import type { Chat, ChatEvents, ChatState } from '../chat/chat.ts';
import { ChatClosedError } from '../chat/closed.ts';
import { ChatListeners } from '../chat/events.ts';
import type { ChatOptions } from '../chat/open-chat.ts';
import { openChat } from '../chat/open-chat.ts';
import { newGroupId } from '../device/device.ts';
import { newId } from '../platform/bytes.ts';
import type { TabChannel } from './channel.ts';
import { broadcastChannel } from './channel.ts';
import { callOf, EVENTS, lead } from './leading-tab.ts';
import type { Locks } from './locks.ts';
import { webLocks } from './locks.ts';
import type { Call, Failure, TabMessage, TabTalk } from './tab-messages.ts';
import { ToldMessages } from './told-messages.ts';

/** The same, for a device that several tabs share. */
export interface SharedChatOptions extends ChatOptions {
  /** Of the lock and of the channel: one for each device. */
  readonly name: string;
  /** @internal */
  readonly locks?: Locks;
  /** @internal */
  readonly channel?: TabChannel;
}

const NOTHING: ChatState = { connection: 'connecting', conversations: [], unread: 0 };

/**
 * Opens the chat of a device that several tabs share. The tab that holds the lock has the device; the others see what it sees and ask it
 * to do what they do. When it is closed, or crashes, the next one takes over from the store.
 */
export async function openSharedChat(options: SharedChatOptions): Promise<Chat> {
  const { name, locks = webLocks(), channel = broadcastChannel(name), ...rest } = options;
  const chat = new SharedChat({ ...rest, channel, locks, name });
  try {
    await chat.begin();
  } catch (error) {
    channel.close();
    throw error;
  }
  return chat;
}

interface Waiting {
  readonly call: Call;
  readonly given: readonly unknown[];
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

class SharedChat implements Chat {
  readonly on: Chat['on'];
  readonly #options: SharedChatOptions & { readonly locks: Locks; readonly channel: TabChannel };
  readonly #listeners = new ChatListeners();
  readonly #stop = new AbortController();
  readonly #waiting = new Map<string, Waiting>();
  readonly #told = new ToldMessages();
  #leading: Promise<void> = Promise.resolve();
  /** The chat itself, in the tab that leads. */
  #local: Chat | undefined;
  /** Id of the leader whose state this tab shows. */
  #leader = '';
  #state = NOTHING;
  #user = '';
  #device = '';

  constructor(options: SharedChatOptions & { readonly locks: Locks; readonly channel: TabChannel }) {
    this.#options = options;
    this.on = this.#listeners.on;
    this.#user = options.user;
    this.on('message', (message) => this.#told.note(message));
  }

  get user(): string {
    return this.#local?.user ?? this.#user;
  }

  get device(): string {
    return this.#local?.device ?? this.#device;
  }

  get state(): ChatState {
    return this.#local?.state ?? this.#state;
  }

  /** Resolves when the chat can be used: this tab leads, or has heard who does. */
  begin(): Promise<void> {
    const { channel } = this.#options;
    return new Promise((resolve, reject) => {
      channel.on((message) => {
        this.#hear(message as TabMessage);
        if (this.#leader !== '') resolve();
      });
      this.#leading = this.#takeTurns(resolve).catch(reject);
      channel.send({ kind: 'who' });
    });
  }

  /** Leads when it is this tab's turn. A tab that has followed and cannot open the store lets the others try, and tries again. */
  async #takeTurns(onReady: () => void): Promise<void> {
    const { locks, name } = this.#options;
    const { signal } = this.#stop;
    const isOver = (): boolean => signal.aborted;
    for (let attempt = 1; !isOver(); attempt++) {
      try {
        await locks.hold(name, () => this.#lead(onReady), signal);
        return;
      } catch (error) {
        if (this.#leader === '' || isOver()) throw error;
        this.#listeners.tell('trouble', { message: String(error) });
        await pause(attempt, error, signal).catch(() => undefined);
      }
    }
  }

  /** This tab has the device, until it is closed. */
  async #lead(onReady: () => void): Promise<void> {
    const { store, channel } = this.#options;
    const { signal } = this.#stop;
    const isFirst = this.#leader === '';
    // The tab that led has logged out, and its last word was slower than its lock.
    if (!isFirst && (await store.keys('')).length === 0) this.#end({ why: 'logged-out' });
    if (signal.aborted) return;
    const chat = await openChat(this.#options);
    this.#local = chat;
    const end = lead(chat, channel as TabTalk);
    try {
      if (isFirst) this.#told.begin(chat.state);
      const over = new Promise<void>((resolve) => {
        chat.on('ended', () => resolve());
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve());
      });
      for (const name of EVENTS) chat.on(name, (what) => this.#listeners.tell(name, what as never));
      onReady();
      this.#listeners.tell('state', chat.state);
      // What this tab had asked the tab before.
      for (const [id, { call, given, resolve, reject }] of this.#waiting) {
        this.#waiting.delete(id);
        callOf(chat, call)(...given).then(resolve as (result: unknown) => void, reject);
      }
      if (!isFirst) await this.#tellMissing();
      await over;
    } finally {
      // Whatever failed: the lock is free only when the chat has ended. Else the next tab would be a second one with its state.
      end();
      await chat.close();
    }
  }

  #hear(message: TabMessage): void {
    if (this.#local !== undefined || this.#stop.signal.aborted) return;
    switch (message.kind) {
      case 'lead':
        if (this.#leader !== message.leader) this.#follow(message);
        break;
      case 'event':
        if (message.leader !== this.#leader) break;
        if (message.event.name === 'state') this.#state = message.event.what;
        if (message.event.name === 'ended') this.#end(message.event.what);
        else this.#listeners.tell(message.event.name, message.event.what);
        break;
      case 'answer': {
        const waiting = this.#waiting.get(message.id);
        this.#waiting.delete(message.id);
        if (message.failure === undefined) waiting?.resolve(message.result as never);
        else waiting?.reject(errorOf(message.failure));
        break;
      }
      default:
    }
  }

  #follow({ leader, user, device, state }: TabMessage & { readonly kind: 'lead' }): void {
    const isFirst = this.#leader === '';
    this.#leader = leader;
    [this.#user, this.#device, this.#state] = [user, device, state];
    this.#listeners.tell('state', state);
    if (isFirst) {
      this.#told.begin(state);
      return;
    }
    for (const [id, { call, given }] of this.#waiting) this.#options.channel.send({ kind: 'call', id, call, given });
    void this.#tellMissing();
  }

  async #tellMissing(): Promise<void> {
    try {
      for (const message of await this.#told.missing(this)) this.#listeners.tell('message', message);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#listeners.tell('trouble', { message: String(error) });
    }
  }

  /** The chat is over, also for the tabs that follow: nobody shall take over a device that is logged out, or that another program has. */
  #end(what: ChatEvents['ended']): void {
    this.#stop.abort();
    this.#listeners.tell('ended', what);
    for (const { call, resolve } of this.#waiting.values()) {
      if (call === 'logOut' && what.why === 'logged-out') resolve(undefined as never);
    }
    this.#refuseWaiting();
  }

  /** What was answered before does not hear it. */
  #refuseWaiting(): void {
    for (const { reject } of this.#waiting.values()) reject(new ChatClosedError());
    this.#waiting.clear();
  }

  #call<T>(call: Call, ...given: readonly unknown[]): Promise<T> {
    if (this.#local !== undefined) return callOf(this.#local, call)(...given) as Promise<T>;
    if (this.#stop.signal.aborted) return Promise.reject(new ChatClosedError());
    return new Promise<T>((resolve, reject) => {
      const id = newId();
      // First: what cannot be sent, since it is not plain data, is not asked of the next tab either.
      this.#options.channel.send({ kind: 'call', id, call, given });
      this.#waiting.set(id, { call, given, resolve, reject });
    });
  }

  // When a tab that leads dies, the next one is asked again, and nobody knows what was done. So each call may come twice: the ids are
  // made here, what is there is not added, and what is gone is not removed.
  readonly create: Chat['create'] = (options = {}) => this.#call('create', { id: newGroupId(), ...options });
  readonly add: Chat['add'] = (...given) => this.#call('add', ...given);
  readonly remove: Chat['remove'] = (...given) => this.#call('remove', ...given);
  readonly removeDevice: Chat['removeDevice'] = (...given) => this.#call('removeDevice', ...given);
  readonly leave: Chat['leave'] = (...given) => this.#call('leave', ...given);
  readonly send: Chat['send'] = (conversation, text, options = {}) =>
    this.#call('send', conversation, text, { id: newId(), ...options });
  readonly retry: Chat['retry'] = (...given) => this.#call('retry', ...given);
  readonly cancel: Chat['cancel'] = (...given) => this.#call('cancel', ...given);
  readonly history: Chat['history'] = (...given) => this.#call('history', ...given);
  readonly delete: Chat['delete'] = (...given) => this.#call('delete', ...given);
  readonly markRead: Chat['markRead'] = (...given) => this.#call('markRead', ...given);
  readonly markUnread: Chat['markUnread'] = (...given) => this.#call('markUnread', ...given);
  readonly join: Chat['join'] = (...given) => this.#call('join', ...given);
  readonly askToJoin: Chat['askToJoin'] = (...given) => this.#call('askToJoin', ...given);
  readonly admit: Chat['admit'] = (...given) => this.#call('admit', ...given);
  readonly rejoin: Chat['rejoin'] = (...given) => this.#call('rejoin', ...given);
  readonly policy: Chat['policy'] = (...given) => this.#call('policy', ...given);
  readonly safety: Chat['safety'] = (...given) => this.#call('safety', ...given);
  readonly devices: Chat['devices'] = () => this.#call('devices');
  readonly forgetDevice: Chat['forgetDevice'] = (...given) => this.#call('forgetDevice', ...given);
  readonly registerPush: Chat['registerPush'] = (...given) => this.#call('registerPush', ...given);
  readonly logOut: Chat['logOut'] = () => this.#call('logOut');

  typing(conversation: string): void {
    if (this.#local === undefined) this.#options.channel.send({ kind: 'typing', conversation });
    else this.#local.typing(conversation);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#refuseWaiting();
    await this.#leading;
    this.#options.channel.close();
    if (this.#local === undefined) await this.#options.store.close?.();
  }
}

function errorOf({ message, problem }: Failure): Error {
  if (problem === undefined) return new Error(message);
  return new ProblemError({ ...problem }, new Response(null, { status: problem.status }));
}
