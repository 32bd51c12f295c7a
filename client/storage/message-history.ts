import type { LostMark, MessageChange, ReceivedMessage } from './group-store.ts';

/** The messages of a group, in the order in which the device got them. What changed waits for the next save of the group. */
export class MessageHistory {
  readonly #all: ReceivedMessage[];
  readonly #byId = new Map<string, ReceivedMessage>();
  /** The device whose message had an id first. */
  readonly #claims = new Map<string, string>();
  readonly #changes: MessageChange[] = [];
  #lastSeq = 0;

  constructor(messages: readonly ReceivedMessage[]) {
    this.#all = [...messages];
    for (const message of messages) this.#know(message);
  }

  get all(): readonly ReceivedMessage[] {
    return this.#all;
  }

  /** Signature key of the device whose message had this id first, base64. Others that state the same id later may be hostile. */
  claimant(id: string): string | undefined {
    return this.#claims.get(id);
  }

  /** What the store does not have yet, in the order in which it happened. */
  get changes(): readonly MessageChange[] {
    return [...this.#changes];
  }

  /** The store has the first `count` changes now. */
  saved(count: number): void {
    this.#changes.splice(0, count);
  }

  /**
   * Takes the next message of the log.
   * @param isStated the message itself says its id. An id that only the service says must not hide a message
   * @returns `known`: it was taken before. A message: it was lost, and is in the log again
   */
  add(message: ReceivedMessage, isStated: boolean): 'new' | 'known' | ReceivedMessage {
    const known = isStated ? this.#byId.get(keyOf(message)) : undefined;
    // Its sender may say something else this time, but cannot take back what was shown.
    const before = known?.lost === undefined || known.text === message.text ? known : undefined;
    if (before?.lost !== undefined) {
      this.#all.splice(this.#all.indexOf(before), 1);
      this.#all.push(message);
      this.#know(message);
      this.#changes.push({ before, after: message });
      return before;
    }
    if (before !== undefined || message.seq <= this.#lastSeq) return 'known';
    this.#all.push(message);
    this.#know(message);
    this.#changes.push({ after: message });
    return 'new';
  }

  /** Marks what is above. @returns the number of messages that were not lost before */
  lose(mark: LostMark): number {
    let count = 0;
    for (const [i, message] of this.#all.entries()) {
      if (message.lost !== undefined || message.seq <= mark.above) continue;
      const lost = { ...message, lost: mark };
      this.#all[i] = lost;
      this.#know(lost);
      this.#changes.push({ before: message, after: lost });
      count++;
    }
    this.#lastSeq = Math.min(this.#lastSeq, mark.above);
    return count;
  }

  /** A message that was taken for lost is in the log, at the same place: it was not lost. @returns whether it is one */
  findAgain({ seq, id }: { readonly seq: number; readonly id?: string }): boolean {
    const index = this.#all.findIndex((one) => one.lost !== undefined && one.seq === seq && one.id === id);
    const before = this.#all[index];
    if (before === undefined) return false;
    const { lost: _found, ...message } = before;
    this.#all.splice(index, 1);
    this.#all.push(message);
    this.#know(message);
    this.#changes.push({ before, after: message });
    return true;
  }

  /** Gives up a lost message. */
  drop(message: ReceivedMessage): void {
    const index = this.#all.indexOf(message);
    if (index === -1) return;
    this.#all.splice(index, 1);
    this.#byId.delete(keyOf(message));
    this.#changes.push({ before: message });
  }

  /** Drops the text of a deleted message. @returns what is left of it; `undefined`: it was dropped before, or the device never read it */
  dropText(seq: number): ReceivedMessage | undefined {
    const index = this.#all.findIndex((one) => one.lost === undefined && one.seq === seq && one.isDeleted !== true);
    const message = this.#all[index];
    if (message === undefined) return undefined;
    const left = { ...message, text: '', isDeleted: true } as const;
    this.#all[index] = left;
    this.#know(left);
    this.#changes.push({ after: left });
    return left;
  }

  #know(message: ReceivedMessage): void {
    const { id, device = '' } = message;
    if (id !== undefined && !this.#claims.has(id)) this.#claims.set(id, device);
    if (id !== undefined && message.device !== undefined) this.#byId.set(keyOf(message), message);
    if (message.lost === undefined) this.#lastSeq = Math.max(this.#lastSeq, message.seq);
  }
}

/** Two devices may choose the same id, and each may use it once. */
function keyOf({ device = '', id = '' }: ReceivedMessage): string {
  return `${device} ${id}`;
}
