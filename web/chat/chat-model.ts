import type { Signal } from '@preact/signals';
import { batch, computed, signal } from '@preact/signals';
import type { ChatConversation, ChatEvents, ChatMessage, ChatState, ConversationDetails } from '../../client/index.ts';
import { hasCode } from '../../client/index.ts';
import type { Session } from '../shell/session.ts';
import { openConversation } from '../shell/session.ts';
import { Coalesced } from './coalesced.ts';
import type { Notice } from './notices.ts';
import { logWords, memberWords, rejoinWords } from './notices.ts';
import type { ProblemWords } from './problem-words.ts';
import { wordsOf, wordsOfText } from './problem-words.ts';

/** Messages that are shown at first, and that come with each step back. */
const PAGE = 40;
const MAX_NOTICES = 30;
const FAILURE_SHOWN_MS = 10_000;

/** How far this window is with a conversation that it is not in yet. */
export interface Joining {
  readonly conversation: string;
  /** `asked`: somebody in the conversation must let this device in. */
  readonly phase: 'joining' | 'asked' | 'failed';
  readonly problem?: ProblemWords;
}

/** What the left pane shows, and what a person does there. */
export class ChatModel {
  readonly session: Session;
  readonly state: Signal<ChatState>;
  /** The open conversation; undefined: none, or this device is not in it. */
  readonly current = computed(() => this.find(openConversation.value));
  /** Of the open conversation, the newest ones; undefined while they are loaded. */
  readonly messages = signal<readonly ChatMessage[] | undefined>(undefined);
  readonly hasOlder = signal(false);
  /** Rights and rules in the open conversation; undefined: the service has not said them yet. */
  readonly details = signal<ConversationDetails | undefined>(undefined);
  readonly notices = signal<ReadonlyMap<string, readonly Notice[]>>(new Map());
  readonly joining = signal<Joining | undefined>(undefined);
  /** Why the chat has ended; undefined: it goes on. */
  readonly ended = signal<ChatEvents['ended']['why'] | undefined>(undefined);
  /** What failed last without being asked for. It is gone when the service answers again. */
  readonly trouble = signal<ProblemWords | undefined>(undefined);
  /** What menus could not do. */
  readonly failures = signal<readonly ProblemWords[]>([]);
  readonly drafts = new Map<string, string>();
  /** The person marked messages as unread: the window does not mark them as read again by itself. */
  #keepsUnread = false;
  /** The open conversation and its epoch when its details were read. */
  #detailsOf = '';
  #wanted = PAGE;
  readonly #messagesAgain = new Coalesced(() => this.#loadMessages());
  readonly #readAgain = new Coalesced(() => this.#sayRead());

  constructor(session: Session) {
    this.session = session;
    const { chat } = session;
    this.state = signal(chat.state);
    chat.on('state', (state) => this.#changed(state));
    const hasChanged = ({ conversation }: { readonly conversation: string }): void => {
      if (conversation === openConversation.peek()) void this.#messagesAgain.run();
    };
    chat.on('message', hasChanged);
    chat.on('cancelled', hasChanged);
    chat.on('log', ({ conversation, event }) => this.#note(conversation, logWords(event)));
    chat.on('rejoined', ({ conversation, reason }) => this.#note(conversation, rejoinWords(reason)));
    chat.on('ended', ({ why }) => (this.ended.value = why));
    chat.on('trouble', ({ message }) => (this.trouble.value = wordsOfText(message)));
  }

  find(id: string | undefined): ChatConversation | undefined {
    return this.state.value.conversations.find((one) => one.id === id);
  }

  /** Shows a conversation, or none. Whoever chooses the one that is open again has seen it. */
  open(id: string | undefined): void {
    this.#keepsUnread = false;
    if (id === openConversation.peek() && this.messages.peek() !== undefined) {
      this.seen();
      return;
    }
    batch(() => {
      openConversation.value = id;
      this.messages.value = undefined;
      this.hasOlder.value = false;
      this.details.value = undefined;
    });
    this.#wanted = PAGE;
    this.#detailsOf = '';
    if (this.#isIn(id)) void this.#messagesAgain.run();
    this.#readDetails();
  }

  /** Shows older messages too. */
  async showOlder(): Promise<void> {
    this.#wanted += PAGE;
    await this.#messagesAgain.run();
  }

  /** The person sees the newest messages of the open conversation. */
  seen(): void {
    if (!this.#keepsUnread && this.#hasUnread()) void this.#readAgain.run();
  }

  async markUnread(conversation: string, id: string): Promise<void> {
    this.#keepsUnread = true;
    await this.session.chat.markUnread(conversation, id);
  }

  async send(conversation: string, text: string): Promise<void> {
    this.#keepsUnread = false;
    this.seen();
    await this.session.chat.send(conversation, text);
    void this.#messagesAgain.run();
  }

  /** Does what a menu asked for. What goes wrong is shown for some time at the edge of the page. */
  attempt(task: () => Promise<unknown>): void {
    task().catch((error: unknown) => {
      const words = wordsOf(error);
      this.failures.value = [...this.failures.peek(), words];
      setTimeout(() => (this.failures.value = this.failures.peek().filter((one) => one !== words)), FAILURE_SHOWN_MS);
    });
  }

  /** Joins a conversation by its link. If its rules let nobody join by themselves, it asks the members. */
  async join(conversation: string): Promise<void> {
    const { chat } = this.session;
    this.open(conversation);
    if (this.#isIn(conversation)) return;
    this.joining.value = { conversation, phase: 'joining' };
    try {
      // The state that has the conversation ends it, and not this answer, which may come before.
      await chat.join(conversation);
    } catch (error) {
      if (this.#isIn(conversation)) this.joining.value = undefined;
      else if (hasCode(error, 'not-found', 'not-allowed')) await this.#askToJoin(conversation);
      else this.joining.value = { conversation, phase: 'failed', problem: wordsOf(error) };
    }
  }

  async #askToJoin(conversation: string): Promise<void> {
    try {
      await this.session.chat.askToJoin(conversation);
      this.joining.value = { conversation, phase: 'asked' };
    } catch (error) {
      this.joining.value = { conversation, phase: 'failed', problem: wordsOf(error) };
    }
  }

  #isIn(id: string | undefined): boolean {
    return this.state.peek().conversations.some((one) => one.id === id);
  }

  /** In the open conversation. */
  #hasUnread(): boolean {
    return (this.current.peek()?.unread ?? 0) > 0;
  }

  #changed(state: ChatState): void {
    const wasIn = this.#isIn(openConversation.peek());
    const before = this.state.peek().conversations;
    const wasUnread = this.#hasUnread();
    batch(() => {
      for (const now of state.conversations) {
        const known = before.find(({ id }) => id === now.id);
        if (known !== undefined) for (const words of memberWords(known, now)) this.#note(now.id, words);
      }
      this.state.value = state;
      // It was read elsewhere: in another tab, or on another device.
      if (wasUnread && !this.#hasUnread()) this.#keepsUnread = false;
      if (state.connection === 'online') this.trouble.value = undefined;
      if (this.#isIn(this.joining.peek()?.conversation)) this.joining.value = undefined;
      if (this.#isIn(openConversation.peek()) && !wasIn) void this.#messagesAgain.run();
    });
    this.#readDetails();
  }

  async #loadMessages(): Promise<void> {
    const conversation = openConversation.peek();
    if (conversation === undefined || !this.#isIn(conversation)) return;
    // One more says whether there are older ones.
    const wanted = Math.max(this.#wanted, (this.messages.peek()?.length ?? 0) + 1);
    const found = await this.session.chat.history(conversation, { limit: wanted + 1 });
    if (conversation !== openConversation.peek()) return;
    batch(() => {
      this.hasOlder.value = found.length > wanted;
      this.messages.value = found.slice(-wanted);
    });
  }

  async #sayRead(): Promise<void> {
    const conversation = openConversation.peek();
    if (conversation === undefined) return;
    // Without a network it is said when the state changes: the connection is there again.
    await this.session.chat.markRead(conversation).catch(() => undefined);
  }

  /** Rights may change with each epoch. */
  #readDetails(): void {
    const conversation = this.current.peek();
    if (conversation === undefined || conversation.state === 'removed') return;
    if (this.state.peek().connection !== 'online') return;
    const key = `${conversation.id} ${conversation.epoch}`;
    if (key === this.#detailsOf) return;
    this.#detailsOf = key;
    void this.session.api.conversation(conversation.id).then(
      (details) => {
        if (openConversation.peek() === conversation.id) this.details.value = details;
      },
      () => (this.#detailsOf = ''),
    );
  }

  #note(conversation: string, words: Pick<Notice, 'level' | 'text'>): void {
    const notice: Notice = { id: crypto.randomUUID(), at: Date.now(), ...words };
    const before = this.notices.peek().get(conversation) ?? [];
    this.notices.value = new Map(this.notices.peek()).set(conversation, [...before, notice].slice(-MAX_NOTICES));
    if (conversation === openConversation.peek()) void this.#messagesAgain.run();
  }
}
