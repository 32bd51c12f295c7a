import type { Chat, ChatMessage, ChatState } from '../chat/chat.ts';

/** What the app of this tab has been told of each log. A tab that leads may die after it saved a message, and before it told the others. */
export class ToldMessages {
  /** `seq` by conversation. */
  readonly #seqs = new Map<string, number>();
  /** What it is told while `missing` reads. */
  #meanwhile: Set<string> | undefined;

  /** The app has this state from the start, and reads the rest by `history`. */
  begin({ conversations }: ChatState): void {
    for (const { last } of conversations) if (last !== undefined) this.note(last);
  }

  note({ id, conversation, state }: ChatMessage): void {
    this.#meanwhile?.add(`${conversation} ${id}`);
    if (state.kind === 'seen') this.#seqs.set(conversation, Math.max(state.seq, this.#seqs.get(conversation) ?? 0));
  }

  /** What the app was not told, in order, and what is not in the log yet. */
  async missing(chat: Pick<Chat, 'state' | 'history'>): Promise<ChatMessage[]> {
    const missing: ChatMessage[] = [];
    // What is told meanwhile comes after what is missing.
    const seqs = new Map(this.#seqs);
    const meanwhile = (this.#meanwhile = new Set<string>());
    for (const { id } of chat.state.conversations) {
      const told = seqs.get(id) ?? 0;
      const isNew = ({ state }: ChatMessage): boolean => state.kind !== 'seen' || state.seq > told;
      const found: ChatMessage[] = [];
      for (let before: string | undefined; ;) {
        const page: readonly ChatMessage[] = await chat.history(id, before === undefined ? {} : { before });
        found.unshift(...page.filter(isNew));
        const [oldest] = page;
        if (oldest === undefined || !isNew(oldest)) break;
        before = oldest.id;
      }
      missing.push(...found);
    }
    return missing.filter(({ conversation, id }) => !meanwhile.has(`${conversation} ${id}`));
  }
}
