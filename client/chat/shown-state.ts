import type { MlsGroup } from '../group/group.ts';
import type { ChatState } from './chat.ts';
import { conversationOf } from './projection.ts';
import { Typing } from './typing.ts';
import type { Unread } from './unread.ts';

export interface ShownParts {
  readonly groups: ReadonlyMap<string, MlsGroup>;
  readonly unread: Unread;
  readonly tell: (state: ChatState) => void;
}

/** What the app sees of all conversations. It is made of the groups when somebody asks, and told once for all changes of one moment. */
export class ShownState {
  readonly typing = new Typing(() => this.changed());
  /** Conversations that the device is joining. */
  readonly joining = new Set<string>();
  /** Conversations of which nobody knows whether the service has them. They are not shown. */
  readonly unanswered = new Set<string>();
  readonly #parts: ShownParts;
  #connection: ChatState['connection'] = 'connecting';
  #now: ChatState | undefined;
  #isTelling = false;

  constructor(parts: ShownParts) {
    this.#parts = parts;
  }

  get now(): ChatState {
    this.#now ??= this.#project();
    return this.#now;
  }

  get isOnline(): boolean {
    return this.#connection === 'online';
  }

  connected(connection: ChatState['connection']): void {
    this.#connection = connection;
    this.changed();
  }

  changed(): void {
    this.#now = undefined;
    if (this.#isTelling) return;
    this.#isTelling = true;
    setTimeout(() => {
      this.#isTelling = false;
      this.#parts.tell(this.now);
    });
  }

  #project(): ChatState {
    const conversations = [...this.#parts.groups.values()]
      .filter(({ id }) => !this.unanswered.has(id))
      .map((group) =>
        conversationOf(group, {
          unread: this.#parts.unread.of(group.id, group.history),
          typing: this.typing.in(group.id),
          isJoining: this.joining.has(group.id),
        }),
      )
      .sort((a, b) => (b.last?.at ?? 0) - (a.last?.at ?? 0));
    const unread = conversations.reduce((sum, one) => sum + one.unread, 0);
    return { connection: this.#connection, conversations, unread };
  }
}
