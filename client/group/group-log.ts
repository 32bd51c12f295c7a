import type { CiphersuiteImpl, ClientState, IncomingMessageCallback, PrivateMessage } from 'ts-mls';
import { acceptAll, emptyPskIndex, processMessage } from 'ts-mls';
import { decryptSenderData } from 'ts-mls/privateMessage.js';
import type { ParleyClient } from '../api/parley-client.ts';
import type { SeenCommit } from './commit-check.ts';
import { checkIdentities } from './commit-check.ts';
import type { GroupRecord, GroupStore, OwnProposal, ReceivedMessage } from '../storage/group-store.ts';
import { unwire, usersByLeaf } from '../mls/tree.ts';
import { hasCode } from '../api/problem.ts';
import { leavingLeaves, wouldCommit } from './proposals.ts';
import type { Entry, Page } from '../api/types.ts';

export interface LogOptions {
  readonly api: Pick<ParleyClient, 'log'>;
  readonly suite: CiphersuiteImpl;
  readonly store: GroupStore;
  /** Conversation id. */
  readonly id: string;
  readonly user: string;
  readonly record: GroupRecord;
  /** Those before the record, in log order. */
  readonly history: readonly ReceivedMessage[];
  /** Told each new message, once it is in the store. */
  readonly onMessage: (message: ReceivedMessage) => void;
}

/** A commit that the service accepted and this device cannot follow. */
export class UnprocessableEntry extends Error {
  override readonly name = 'UnprocessableEntry';
  readonly entry: Entry;

  constructor(entry: Entry, cause: unknown) {
    super(`entry ${entry.seq}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.entry = entry;
  }
}

const PAGE_LIMIT = 1000;

/** The first commit after `after` that is one of those given, by their bytes, with the state it leads to. */
export async function findCommit(
  api: LogOptions['api'],
  id: string,
  after: number,
  commits: ReadonlyMap<string, ClientState>,
): Promise<{ readonly state: ClientState; readonly seq: number } | undefined> {
  for (let from: number | undefined = after; from !== undefined;) {
    const page: Page = await api.log(id, { after: from, limit: PAGE_LIMIT, kind: 'commit' });
    for (const { ciphertext = '', seq } of page.entries) {
      const state = commits.get(ciphertext);
      if (state !== undefined) return { state, seq };
    }
    from = page.next;
  }
  return undefined;
}

/** The reading half of a group: moves the MLS state along the log, one entry after the other. */
export class GroupLog implements GroupRecord {
  readonly history: ReceivedMessage[];
  readonly undecryptable: number[] = [];
  readonly sent: Map<string, string>;
  readonly pending: Map<string, ClientState>;
  readonly proposals: Map<string, OwnProposal>;
  state: ClientState;
  position: number;
  wasCutOff: boolean;
  readonly #options: LogOptions;

  constructor(options: LogOptions) {
    const { record, history } = options;
    this.#options = options;
    this.history = [...history];
    this.state = record.state;
    this.position = record.position;
    this.pending = new Map(record.pending);
    this.sent = new Map(record.sent);
    this.proposals = new Map(record.proposals);
    this.wasCutOff = record.wasCutOff;
  }

  get epoch(): number {
    return Number(this.state.groupContext.epoch);
  }

  get isRemoved(): boolean {
    return this.wasCutOff || this.state.groupActiveState.kind === 'removedFromGroup';
  }

  /** Makes durable what the device would need after a crash. */
  save(): Promise<void> {
    return this.#options.store.save(this);
  }

  /**
   * Reads to the end of the log; gives the messages that were new.
   * @throws UnprocessableEntry
   */
  async catchUp(): Promise<ReceivedMessage[]> {
    const known = this.history.length;
    if (this.isRemoved) return [];
    try {
      await this.#read((entry) => this.#take(entry));
      // Did the user leave from here, or only this one device?
      if (this.#isOwnUserLeaving()) await this.#read((entry) => this.#take(entry));
    } catch (error) {
      // A removed member has read all it may; that is no failure of reading.
      if (!hasCode(error, 'removed')) throw error;
      this.wasCutOff = true;
    } finally {
      await this.save();
    }
    return this.history.slice(known);
  }

  /**
   * Takes an entry of a live stream; one that was taken before is passed over.
   * @throws UnprocessableEntry
   */
  async take(entry: Entry): Promise<void> {
    if (entry.seq <= this.position) return;
    // Joined behind the stream's position, or the stream skipped what had expired.
    if (entry.seq !== this.position + 1) {
      await this.catchUp();
      return;
    }
    await this.#take(entry);
    await this.save();
  }

  /** Enters the epoch that a commit started; whatever else was pending for the last one has lost (RFC 9420 §12.4). */
  enter(state: ClientState): void {
    this.state = state;
    this.pending.clear();
    this.proposals.clear();
  }

  /**
   * Goes on with the state that an external commit, the entry `seq`, led to. Messages before it that the old state has keys
   * for are read with that.
   */
  async rejoin(state: ClientState, seq: number): Promise<void> {
    await this.#read(async (entry) => {
      const isMissed = entry.seq < seq && entry.kind === 'application' && entry.ciphertext !== undefined;
      if (isMissed) await this.#processApplication(entry, entry.ciphertext ?? '');
      this.position = entry.seq;
      return entry.seq < seq;
    }).catch(() => undefined); // what cannot be read any more stays unread
    this.enter(state);
    this.position = seq;
    this.wasCutOff = false;
    await this.save();
  }

  /** Goes on with an own commit further on in the log, if one was accepted. */
  async adoptPending(): Promise<boolean> {
    if (this.pending.size === 0) return false;
    const { api, id } = this.#options;
    const found = await findCommit(api, id, this.position, this.pending);
    if (found === undefined) return false;
    await this.rejoin(found.state, found.seq);
    return true;
  }

  /** Gives entry after entry, until the log ends or `take` says that it is enough. */
  async #read(take: (entry: Entry) => Promise<boolean>): Promise<void> {
    const { api, id } = this.#options;
    for (let more = true; more;) {
      const page = await api.log(id, { after: this.position, limit: PAGE_LIMIT });
      for (const entry of page.entries) {
        if (!(await take(entry))) return;
      }
      more = page.next !== undefined;
    }
  }

  /** @returns whether there is more to take for this state */
  async #take(entry: Entry): Promise<boolean> {
    if (entry.seq <= this.position) return true;
    // The service leaves out no entry of a stay: what follows belongs to a later one, which began with a new state.
    if (entry.seq !== this.position + 1) this.wasCutOff = true;
    if (this.isRemoved) return false;
    if (entry.ciphertext !== undefined) await this.#process(entry, entry.ciphertext);
    this.position = entry.seq;
    return true;
  }

  async #process(entry: Entry, ciphertext: string): Promise<void> {
    if (entry.kind === 'application') return this.#processApplication(entry, ciphertext);
    // Own commits are adopted when they are accepted; a proposal of an ended epoch has lost its use (RFC 9420 §12.4).
    if (entry.epoch < this.epoch) return;
    if (entry.kind === 'proposal') return this.#processProposal(ciphertext);
    const own = this.pending.get(ciphertext);
    // It was accepted, but the answer was lost on the way.
    if (own !== undefined) this.enter(own);
    else await this.#processCommit(entry, ciphertext);
  }

  async #processApplication({ seq, epoch, id }: Entry, ciphertext: string): Promise<void> {
    const own = id === undefined ? undefined : this.sent.get(id);
    if (own !== undefined && id !== undefined) {
      this.sent.delete(id);
      await this.#keep({ seq, epoch, sender: this.#options.user, text: own });
      return;
    }
    try {
      const sender = await this.#senderOf(ciphertext);
      const result = await this.#decrypt(ciphertext);
      if (result.kind !== 'applicationMessage') throw new Error('not an application message');
      this.state = result.newState;
      await this.#keep({ seq, epoch, sender, text: new TextDecoder().decode(result.message) });
    } catch {
      // One bad message of one member must not stop the group for this one.
      this.undecryptable.push(seq);
    }
  }

  async #keep(message: ReceivedMessage): Promise<void> {
    if (message.seq <= (this.history.at(-1)?.seq ?? 0)) return; // read again after a crash
    this.history.push(message);
    await this.#options.store.saveMessage(message);
    this.#options.onMessage(message);
  }

  #isOwnUserLeaving(): boolean {
    const users = usersByLeaf(this.state);
    return leavingLeaves(this.state).some((leaf) => users.get(leaf) === this.#options.user);
  }

  async #processProposal(ciphertext: string): Promise<void> {
    const own = this.proposals.get(ciphertext);
    if (own !== undefined) {
      this.proposals.delete(ciphertext);
      if (!wouldCommit(this.state, own.proposal)) return;
      const unappliedProposals = { ...this.state.unappliedProposals, [own.ref]: own.proposal };
      this.state = { ...this.state, unappliedProposals };
      return;
    }
    const { state } = this;
    const refuse: IncomingMessageCallback = (incoming) =>
      incoming.kind === 'proposal' && wouldCommit(state, incoming.proposal) ? 'accept' : 'reject';
    try {
      this.state = (await this.#decrypt(ciphertext, refuse)).newState;
    } catch {
      // A proposal that is not valid cannot be committed by anybody.
    }
  }

  async #processCommit(entry: Entry, ciphertext: string): Promise<void> {
    let seen: SeenCommit = { senderLeafIndex: undefined, proposals: [] };
    try {
      const { kind, newState } = await this.#decrypt(ciphertext, (incoming) => {
        if (incoming.kind === 'commit') seen = incoming;
        return 'accept';
      });
      if (kind !== 'newState') throw new Error('not a handshake message');
      checkIdentities(this.state.ratchetTree, newState.ratchetTree, seen);
      this.enter(newState);
    } catch (error) {
      throw new UnprocessableEntry(entry, error);
    }
  }

  #decrypt(ciphertext: string, callback = acceptAll): ReturnType<typeof processMessage> {
    const message = unwire(ciphertext);
    if (message.wireformat !== 'mls_private_message' && message.wireformat !== 'mls_public_message') {
      throw new Error(`${message.wireformat} has no place in a log`);
    }
    return processMessage(message, this.state, emptyPskIndex, callback, this.#options.suite);
  }

  /** Only the message itself says who sent it: the service does not know (RFC 9420 §6.3.2). */
  async #senderOf(ciphertext: string): Promise<string> {
    const message = unwire(ciphertext);
    if (message.wireformat !== 'mls_private_message') throw new Error('application messages are private');
    const { ratchetTree, senderDataSecret } = this.#epochOf(message.privateMessage);
    const data = await decryptSenderData(message.privateMessage, senderDataSecret, this.#options.suite);
    const sender = data === undefined ? undefined : usersByLeaf({ ratchetTree }).get(data.leafIndex);
    if (sender === undefined) throw new Error('a message from nobody');
    return sender;
  }

  #epochOf({ epoch }: PrivateMessage): Pick<ClientState, 'ratchetTree'> & { readonly senderDataSecret: Uint8Array } {
    const { groupContext, ratchetTree, keySchedule, historicalReceiverData } = this.state;
    if (epoch === groupContext.epoch) return { ratchetTree, senderDataSecret: keySchedule.senderDataSecret };
    const past = historicalReceiverData.get(epoch);
    if (past === undefined) throw new Error('the keys of this epoch are gone');
    return past;
  }
}
