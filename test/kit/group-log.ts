import type { CiphersuiteImpl, ClientState } from 'ts-mls';
import { acceptAll, emptyPskIndex, processMessage } from 'ts-mls';
import type { ParleyClient } from './client.ts';
import { unwire } from './mls.ts';
import { hasCode } from './problem.ts';
import type { Entry } from './types.ts';

/** A message of the group, decrypted; one's own come from the log too, so that the order is everybody's. */
export interface ReceivedMessage {
  readonly seq: number;
  readonly epoch: number;
  readonly sender: string | undefined;
  readonly text: string;
}

export interface GroupOptions {
  readonly api: Pick<ParleyClient, 'commit' | 'send' | 'log'>;
  readonly suite: CiphersuiteImpl;
  /** Conversation id. */
  readonly id: string;
  readonly state: ClientState;
  /** `seq` up to which the state has seen the log. */
  readonly position: number;
  /** Commits as PublicMessage, whose content the service can check. @default false */
  readonly publicCommits?: boolean;
}

const PAGE_LIMIT = 1000;

/** The reading half of a group: moves the MLS state along the log, one entry after the other. */
export class GroupLog {
  readonly history: ReceivedMessage[] = [];
  readonly undecryptable: number[] = [];
  /** Texts of own messages that have not come back in the log, by id: a sender cannot decrypt its own. */
  readonly sent = new Map<string, string>();
  /** Commits on the current epoch that were accepted or not: the state each leads to, by its bytes. */
  readonly pending = new Map<string, ClientState>();
  state: ClientState;
  position: number;
  wasCutOff = false;
  readonly #options: GroupOptions;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.state = options.state;
    this.position = options.position;
  }

  get epoch(): number {
    return Number(this.state.groupContext.epoch);
  }

  get isRemoved(): boolean {
    return this.wasCutOff || this.state.groupActiveState.kind === 'removedFromGroup';
  }

  /** Reads to the end of the log; gives the messages that were new. */
  async catchUp(): Promise<ReceivedMessage[]> {
    const known = this.history.length;
    const { api, id } = this.#options;
    try {
      for (let more = true; more;) {
        const page = await api.log(id, { after: this.position, limit: PAGE_LIMIT });
        for (const entry of page.entries) await this.take(entry);
        more = page.next !== undefined;
      }
    } catch (error) {
      // A removed member has read all it may; that is no failure of reading.
      if (!hasCode(error, 'removed')) throw error;
      this.wasCutOff = true;
    }
    return this.history.slice(known);
  }

  /** Takes the next entry; one that was taken before is passed over. */
  async take(entry: Entry): Promise<void> {
    if (entry.seq <= this.position) return;
    if (entry.seq !== this.position + 1) throw new Error(`entry ${entry.seq} follows ${this.position}: a gap`);
    if (entry.ciphertext !== undefined) await this.#process(entry, entry.ciphertext);
    this.position = entry.seq;
  }

  /** Enters the epoch that a commit started; whatever else was pending for the last one has lost. */
  enter(state: ClientState): void {
    this.state = state;
    this.pending.clear();
  }

  async #process(entry: Entry, ciphertext: string): Promise<void> {
    if (entry.kind === 'application') return this.#processApplication(entry, ciphertext);
    // Own commits are adopted when they are accepted; a proposal of an ended epoch has lost its use (RFC 9420 §12.4).
    if (entry.epoch < this.epoch) return;
    const own = this.pending.get(ciphertext);
    if (own !== undefined) {
      this.enter(own); // it was accepted, but the answer was lost on the way
      return;
    }
    const result = await this.#decrypt(ciphertext);
    if (result.kind !== 'newState') throw new Error(`entry ${entry.seq} is no handshake message`);
    if (entry.kind === 'commit') this.enter(result.newState);
    else this.state = result.newState;
  }

  async #processApplication({ seq, epoch, id, sender }: Entry, ciphertext: string): Promise<void> {
    const own = this.sent.get(id);
    if (own !== undefined) {
      this.sent.delete(id);
      this.history.push({ seq, epoch, sender, text: own });
      return;
    }
    try {
      const result = await this.#decrypt(ciphertext);
      if (result.kind !== 'applicationMessage') throw new Error('not an application message');
      this.state = result.newState;
      this.history.push({ seq, epoch, sender, text: new TextDecoder().decode(result.message) });
    } catch {
      // One bad message of one member must not stop the group for this one.
      this.undecryptable.push(seq);
    }
  }

  #decrypt(ciphertext: string): ReturnType<typeof processMessage> {
    const message = unwire(ciphertext);
    if (message.wireformat !== 'mls_private_message' && message.wireformat !== 'mls_public_message') {
      throw new Error(`${message.wireformat} has no place in a log`);
    }
    return processMessage(message, this.state, emptyPskIndex, acceptAll, this.#options.suite);
  }
}
