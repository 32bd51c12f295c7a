import type { CiphersuiteImpl, ClientState, PrivateMessage } from 'ts-mls';
import { acceptAll, emptyPskIndex, processMessage } from 'ts-mls';
import { decryptSenderData } from 'ts-mls/privateMessage.js';
import type { ParleyClient } from '../api/parley-client.ts';
import { hasCode } from '../api/problem.ts';
import type { Entry, LogPage } from '../api/types.ts';
import { isOfExternalSender, withBareSenders } from '../mls/external-senders.ts';
import { decodeMessage } from '../mls/messages.ts';
import { withPastEpochs } from '../mls/past-epochs.ts';
import { usersByLeaf } from '../mls/tree.ts';
import type { GroupRecord, GroupStore, OwnProposal, ReceivedMessage } from '../storage/group-store.ts';
import type { SeenCommit } from './commit-check.ts';
import { checkIdentities } from './commit-check.ts';
import type { JoinRequest } from './proposals.ts';
import { joinRequests, selfRemovals } from './proposals.ts';

export interface LogOptions {
  readonly api: Pick<ParleyClient, 'log'>;
  readonly suite: CiphersuiteImpl;
  readonly store: GroupStore;
  /** Conversation id. */
  readonly id: string;
  readonly user: string;
  readonly record: GroupRecord;
  /** Messages that the device read before, in log order. */
  readonly history: readonly ReceivedMessage[];
  /** Called with each new message, after the store has saved it. */
  readonly onMessage: (message: ReceivedMessage) => void;
  /** Called with each new request of an outsider to join. */
  readonly onJoinRequest: (request: JoinRequest) => void;
}

/** The service accepted a commit that this device cannot process. */
export class UnprocessableEntry extends Error {
  override readonly name = 'UnprocessableEntry';
  readonly entry: Entry;

  constructor(entry: Entry, cause: unknown) {
    super(`entry ${entry.seq}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.entry = entry;
  }
}

const PAGE_LIMIT = 1000;

/**
 * Finds the first commit after `after` that is one of `commits`.
 * @param commits the state after each commit, by the commit's bytes in base64
 */
export async function findCommit(
  api: LogOptions['api'],
  id: string,
  after: number,
  commits: ReadonlyMap<string, ClientState>,
): Promise<{ readonly state: ClientState; readonly seq: number } | undefined> {
  for (let from: number | undefined = after; from !== undefined;) {
    const page: LogPage = await api.log(id, { after: from, limit: PAGE_LIMIT, kind: 'commit' });
    for (const { ciphertext = '', seq } of page.entries) {
      const state = commits.get(ciphertext);
      if (state !== undefined) return { state, seq };
    }
    from = page.next;
  }
  return undefined;
}

/** The reading half of a group: processes the log, entry by entry, and keeps the MLS state in step with it. */
export class GroupLog implements GroupRecord {
  readonly history: ReceivedMessage[];
  readonly undecryptable: number[] = [];
  readonly sentTexts: Map<string, string>;
  readonly pendingCommits: Map<string, ClientState>;
  readonly ownProposals: Map<string, OwnProposal>;
  state: ClientState;
  position: number;
  hasLeft: boolean;
  readonly #options: LogOptions;

  constructor(options: LogOptions) {
    const { record, history } = options;
    this.#options = options;
    this.history = [...history];
    this.state = record.state;
    this.position = record.position;
    this.pendingCommits = new Map(record.pendingCommits);
    this.sentTexts = new Map(record.sentTexts);
    this.ownProposals = new Map(record.ownProposals);
    this.hasLeft = record.hasLeft;
  }

  get epoch(): number {
    return Number(this.state.groupContext.epoch);
  }

  get isRemoved(): boolean {
    return this.hasLeft || this.state.groupActiveState.kind === 'removedFromGroup';
  }

  /** Saves everything that the device needs after a crash. */
  save(): Promise<void> {
    return this.#options.store.save(this);
  }

  /**
   * Processes the log to its end and returns the new messages.
   * @throws UnprocessableEntry
   */
  async catchUp(): Promise<ReceivedMessage[]> {
    const known = this.history.length;
    if (this.isRemoved) return [];
    try {
      await this.#read((entry) => this.#processNext(entry));
      // The own user left, or only another device of it: a second request is refused with `removed` if the user left.
      if (this.#isOwnUserLeaving()) await this.#read((entry) => this.#processNext(entry));
    } catch (error) {
      // Not a failure: a removed member has read everything that it may read.
      if (!hasCode(error, 'removed')) throw error;
      this.hasLeft = true;
    } finally {
      await this.save();
    }
    return this.history.slice(known);
  }

  /**
   * Processes an entry of a live stream. Ignores an entry that was processed before.
   * @throws UnprocessableEntry
   */
  async process(entry: Entry): Promise<void> {
    if (entry.seq <= this.position) return;
    // The stream started after this position, or the stream left out expired entries.
    if (entry.seq !== this.position + 1) {
      await this.catchUp();
      return;
    }
    await this.#processNext(entry);
    await this.save();
  }

  /** Drops the text of a deleted message. Does nothing if the device never read it. */
  async dropText(seq: number): Promise<void> {
    const at = this.history.findIndex((message) => message.seq === seq);
    const message = this.history[at];
    if (message === undefined || message.isDeleted === true) return;
    const left = { ...message, text: '', isDeleted: true } as const;
    this.history[at] = left;
    await this.#options.store.saveMessage(left);
  }

  /** Enters the epoch that a commit started. All other pending commits of the last epoch have lost (RFC 9420 §12.4). */
  enterEpoch(state: ClientState): void {
    this.state = state;
    this.pendingCommits.clear();
    this.ownProposals.clear();
  }

  /**
   * Continues with the state after an external commit of this device, the entry `seq`. Decrypts the messages before this
   * entry with the old state, as far as it has their keys, and keeps these keys for messages that come late.
   */
  async rejoin(state: ClientState, seq: number): Promise<void> {
    await this.#read(async (entry) => {
      const isMissed = entry.seq < seq && entry.kind === 'application' && entry.ciphertext !== undefined;
      if (isMissed) await this.#processApplication(entry, entry.ciphertext ?? '');
      this.position = entry.seq;
      return entry.seq < seq;
    }).catch(() => undefined); // messages that the device cannot read any more stay unread
    this.enterEpoch(withPastEpochs(state, this.state));
    this.position = seq;
    this.hasLeft = false;
    await this.save();
  }

  /** Continues with a pending commit of this device if it is further on in the log: the service accepted it. */
  async adoptPendingCommit(): Promise<boolean> {
    if (this.pendingCommits.size === 0) return false;
    const { api, id } = this.#options;
    const found = await findCommit(api, id, this.position, this.pendingCommits);
    if (found === undefined) return false;
    await this.rejoin(found.state, found.seq);
    return true;
  }

  /** Gives entry after entry to `process`, until the log ends or `process` returns false. */
  async #read(process: (entry: Entry) => Promise<boolean>): Promise<void> {
    const { api, id } = this.#options;
    for (let more = true; more;) {
      const page = await api.log(id, { after: this.position, limit: PAGE_LIMIT });
      for (const entry of page.entries) {
        if (!(await process(entry))) return;
      }
      more = page.next !== undefined;
    }
  }

  /** @returns whether this state can process the entries after this one */
  async #processNext(entry: Entry): Promise<boolean> {
    if (entry.seq <= this.position) return true;
    // A membership interval has no gaps. After a gap comes a later interval, which began with another MLS state.
    if (entry.seq !== this.position + 1) this.hasLeft = true;
    if (this.isRemoved) return false;
    if (entry.ciphertext !== undefined) await this.#processCiphertext(entry, entry.ciphertext);
    this.position = entry.seq;
    return true;
  }

  async #processCiphertext(entry: Entry, ciphertext: string): Promise<void> {
    if (entry.kind === 'application') return this.#processApplication(entry, ciphertext);
    // An own commit that was accepted at once, or a proposal of an ended epoch, which is of no use (RFC 9420 §12.4).
    if (entry.epoch < this.epoch) return;
    if (entry.kind === 'proposal') return this.#processProposal(ciphertext);
    const own = this.pendingCommits.get(ciphertext);
    // The service accepted this own commit, but its answer was lost.
    if (own !== undefined) this.enterEpoch(own);
    else await this.#processCommit(entry, ciphertext);
  }

  async #processApplication({ seq, epoch, id }: Entry, ciphertext: string): Promise<void> {
    const own = id === undefined ? undefined : this.sentTexts.get(id);
    if (own !== undefined && id !== undefined) {
      this.sentTexts.delete(id);
      await this.#addMessage({ seq, epoch, sender: this.#options.user, text: own });
      return;
    }
    try {
      const sender = await this.#senderOf(ciphertext);
      const result = await this.#decrypt(ciphertext);
      if (result.kind !== 'applicationMessage') throw new Error('not an application message');
      this.state = result.newState;
      await this.#addMessage({ seq, epoch, sender, text: new TextDecoder().decode(result.message) });
    } catch {
      // One bad message of one member must not stop the group for this device.
      this.undecryptable.push(seq);
    }
  }

  async #addMessage(message: ReceivedMessage): Promise<void> {
    if (message.seq <= (this.history.at(-1)?.seq ?? 0)) return; // the device read it before a crash
    this.history.push(message);
    await this.#options.store.saveMessage(message);
    this.#options.onMessage(message);
  }

  #isOwnUserLeaving(): boolean {
    const users = usersByLeaf(this.state);
    return selfRemovals(this.state).some((leaf) => users.get(leaf) === this.#options.user);
  }

  /**
   * Keeps the proposal, also one that this device would not commit: a commit of another member can contain it, and a device
   * that does not have it cannot process that commit.
   */
  async #processProposal(ciphertext: string): Promise<void> {
    const own = this.ownProposals.get(ciphertext);
    if (own !== undefined) {
      this.ownProposals.delete(ciphertext);
      const unappliedProposals = { ...this.state.unappliedProposals, [own.ref]: own.proposal };
      this.state = { ...this.state, unappliedProposals };
      return;
    }
    const known = new Set(joinRequests(this.state).map(({ ref }) => ref));
    try {
      this.state = (await this.#decrypt(ciphertext)).newState;
    } catch {
      // Ignored: no member can commit an invalid proposal.
    }
    for (const request of joinRequests(this.state)) if (!known.has(request.ref)) this.#options.onJoinRequest(request);
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
      this.enterEpoch(newState);
    } catch (error) {
      throw new UnprocessableEntry(entry, error);
    }
  }

  async #decrypt(ciphertext: string, callback = acceptAll): ReturnType<typeof processMessage> {
    const message = decodeMessage(ciphertext);
    if (message.wireformat !== 'mls_private_message' && message.wireformat !== 'mls_public_message') {
      throw new Error(`a log has no entries of wire format ${message.wireformat}`);
    }
    const { groupContext } = this.state;
    const state = isOfExternalSender(message) ? withBareSenders(this.state) : this.state;
    const result = await processMessage(message, state, emptyPskIndex, callback, this.#options.suite);
    if (state === this.state) return result;
    return { ...result, newState: { ...result.newState, groupContext } };
  }

  /** Only the encrypted sender data names the sender: the service does not know it (RFC 9420 §6.3.2). */
  async #senderOf(ciphertext: string): Promise<string> {
    const message = decodeMessage(ciphertext);
    if (message.wireformat !== 'mls_private_message') throw new Error('an application message must be private');
    const { ratchetTree, senderDataSecret } = this.#secretsOf(message.privateMessage);
    const data = await decryptSenderData(message.privateMessage, senderDataSecret, this.#options.suite);
    const sender = data === undefined ? undefined : usersByLeaf({ ratchetTree }).get(data.leafIndex);
    if (sender === undefined) throw new Error('no leaf of the tree sent this message');
    return sender;
  }

  #secretsOf({ epoch }: PrivateMessage): Pick<ClientState, 'ratchetTree'> & { readonly senderDataSecret: Uint8Array } {
    const { groupContext, ratchetTree, keySchedule, historicalReceiverData } = this.state;
    if (epoch === groupContext.epoch) return { ratchetTree, senderDataSecret: keySchedule.senderDataSecret };
    const past = historicalReceiverData.get(epoch);
    if (past === undefined) throw new Error('this device no longer has the keys of this epoch');
    return past;
  }
}
