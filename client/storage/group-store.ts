import type { Problem, PushLevel } from '../api/types.ts';
import type { ChainRecord } from '../chain/known-chain.ts';
import type { ChainPosition } from '../chain/position.ts';
import type { GroupState, MlsLibrary } from '../mls/mls-library.ts';
import type { CommitNote, JournalRecord } from '../restart/journal.ts';
import type { RestartRecord } from '../restart/restart-record.ts';
import type { DeviceStore, StoreChange } from './device-store.ts';
import { inOrder } from './message-order.ts';

/** A decrypted message. Own messages come from the log too, so that the order is the same on all devices. */
export interface ReceivedMessage {
  readonly seq: number;
  readonly epoch: number;
  /** User id in the sender's leaf. */
  readonly sender: string;
  readonly text: string;
  /** The message was deleted, and its text is gone. */
  readonly isDeleted?: true;
  /** Message id, as its sender stated it in the message; if the sender stated none, as the service says. */
  readonly id?: string;
  /** Signature key of the sender's leaf, base64: the device that sent it. */
  readonly device?: string;
  /** The log does not have it any more, until its sender sends it again. Then it gets a new `seq`. */
  readonly lost?: LostMark;
  /** Milliseconds since 1970: when the service accepted it. Absent in stores of older releases. */
  readonly at?: number;
}

/** A restart of the log that lost messages. */
export interface LostMark {
  /** `seq` of the last entry that was not lost. */
  readonly above: number;
  /** Time at which the device found out, ms. */
  readonly at: number;
}

/** A message of this device that it has not read in the log yet: a sender cannot decrypt its own. */
export interface SentMessage {
  readonly text: string;
  /** SHA-256 of the MLSMessage, base64. Absent in stores of older releases. */
  readonly digest?: string;
  /** Message id, where it is not the id that the service knows: of a message that is sent again. */
  readonly messageId?: string;
  /** Where it stands in the log, as the answer of the service says. Absent: not answered yet. */
  readonly accepted?: ChainPosition;
  /** Of a message of the outbox. */
  readonly queued?: {
    /** MLSMessage, base64: until it is answered, it is sent again with the same bytes. */
    readonly ciphertext: string;
    readonly at: number;
    readonly push?: PushLevel;
    readonly isLost?: true;
  };
}

/** A message that waits on this device, not encrypted so far. */
export interface QueuedMessage {
  /** Message id. It stays the same for ever. */
  readonly id: string;
  readonly text: string;
  /** Milliseconds since 1970: when it was written. */
  readonly at: number;
  readonly push?: PushLevel;
  /** The service had accepted it, and lost it in a restore. It goes before all others. */
  readonly isLost?: true;
  /** Why the service refused it. It waits for the app. */
  readonly refused?: Problem;
}

/** A proposal of this device that it has not read in the log yet. */
export interface OwnProposal {
  /** ProposalRef, base64 (RFC 9420 §5.2). */
  readonly ref: string;
  /** As the MLS library made it. */
  readonly proposal: string;
}

/** Everything that a device knows of a group, except its messages. */
export interface GroupRecord {
  readonly state: GroupState;
  /** `seq` of the last entry that is part of the state. */
  readonly position: number;
  /** Own commits of the current epoch, accepted or not: the state after each commit, by the commit's bytes in base64. */
  readonly pendingCommits: ReadonlyMap<string, GroupState>;
  /** Own messages by message id, until they are read in the log. The answer to a send proves nothing. */
  readonly sent: ReadonlyMap<string, SentMessage>;
  /** Messages that are not encrypted yet, in the order in which they are sent. */
  readonly outbox: readonly QueuedMessage[];
  /** Own proposals by their bytes in base64: a sender cannot decrypt these either. */
  readonly ownProposals: ReadonlyMap<string, OwnProposal>;
  /** The device is no longer a member, although its MLS state does not say so. */
  readonly hasLeft: boolean;
  /** What the device has read of the log. */
  readonly chain: ChainRecord;
  /** Leaves and epochs (`leaf/epoch`) for which `fork-suspected` was told, the newest last. */
  readonly suspected: ReadonlySet<string>;
  /** What the entries of the log did, in case that the service loses them. */
  readonly journal: JournalRecord;
  /** A restart of the log that is not dealt with yet. */
  readonly restart: RestartRecord | undefined;
}

/** The form in a store. Its names never change, because an app keeps it over releases of this library. */
interface StoredGroup {
  readonly state: string;
  readonly position: number;
  readonly pending: [string, string][];
  /** Id that the service knows, text, digest, and the rest. */
  readonly sent: [string, string, (string | null)?, Pick<SentMessage, 'messageId' | 'accepted' | 'queued'>?][];
  readonly proposals: [string, string, string][];
  readonly wasCutOff: boolean;
  // Absent in stores of releases before 0.3.0.
  readonly links?: [number, string][];
  readonly epochSeq?: number;
  readonly lost?: [number, [number, string][]][];
  readonly suspected?: string[];
  readonly commits?: readonly CommitNote[];
  readonly proposedAt?: [string, number][];
  readonly restart?: RestartRecord;
  readonly outbox?: readonly QueuedMessage[];
}

const groupKey = (id: string): string => `group/${id}`;
const joiningKey = (id: string): string => `joining/${id}`;
const deletionsKey = (id: string): string => `deletions/${id}`;
const messagePrefix = (id: string): string => `message/${id}/`;

/** Ids of the groups in a store. */
export async function storedGroups(store: DeviceStore): Promise<string[]> {
  const prefix = groupKey('');
  return (await store.keys(prefix)).map((key) => key.slice(prefix.length));
}

/** Ids of the groups whose first external commit was sent, but whose answer the device has not processed. */
export async function storedJoins(store: DeviceStore): Promise<string[]> {
  const prefix = joiningKey('');
  return (await store.keys(prefix)).map((key) => key.slice(prefix.length));
}

/** One group in the store of a device. */
export class GroupStore {
  readonly #store: DeviceStore;
  readonly #id: string;
  readonly #mls: Pick<MlsLibrary, 'encode' | 'decode'>;
  /** What the next save writes too. */
  #also: readonly StoreChange[];
  #isClosed = false;

  /** @param also changes that come with the first save: the store has them if it has the group */
  constructor(
    store: DeviceStore,
    id: string,
    mls: Pick<MlsLibrary, 'encode' | 'decode'>,
    also: readonly StoreChange[] = [],
  ) {
    this.#store = store;
    this.#id = id;
    this.#mls = mls;
    this.#also = also;
  }

  /** Ignores every later `save`: another state of the group, or no state, replaced this one. */
  close(): void {
    this.#isClosed = true;
  }

  /** Saves the state, and in the same write the messages that changed with it: a crash loses both, or none. */
  async save(record: GroupRecord, messages: readonly MessageChange[] = []): Promise<void> {
    if (this.#isClosed) return;
    const { state, position, pendingCommits, sent, ownProposals, hasLeft, chain, suspected, journal, restart, outbox } =
      record;
    const stored: StoredGroup = {
      state: this.#mls.encode(state),
      position,
      pending: [...pendingCommits].map(([bytes, next]) => [bytes, this.#mls.encode(next)]),
      sent: [...sent].map(([id, { text, digest, ...rest }]) => [id, text, digest ?? null, rest]),
      proposals: [...ownProposals].map(([bytes, { ref, proposal }]) => [bytes, ref, proposal]),
      wasCutOff: hasLeft,
      links: [...chain.links],
      epochSeq: chain.epochSeq,
      lost: chain.lost.map(({ above, links }) => [above, [...links]]),
      suspected: [...suspected],
      commits: journal.commits,
      proposedAt: [...journal.proposals],
      ...(restart === undefined ? {} : { restart }),
      ...(outbox.length === 0 ? {} : { outbox }),
    };
    const changes = messages.flatMap((change) => this.#changesOf(change));
    await this.#store.write([...changes, ...this.#also, [groupKey(this.#id), JSON.stringify(stored)]]);
    this.#also = [];
  }

  async load(): Promise<GroupRecord | undefined> {
    const text = await this.#store.get(groupKey(this.#id));
    if (text === undefined) return undefined;
    const stored = JSON.parse(text) as StoredGroup;
    return {
      state: this.#mls.decode(stored.state),
      position: stored.position,
      pendingCommits: new Map(stored.pending.map(([bytes, next]) => [bytes, this.#mls.decode(next)])),
      sent: new Map(
        stored.sent.map(([id, text, digest, rest]) => [
          id,
          { text, ...(typeof digest === 'string' ? { digest } : {}), ...rest },
        ]),
      ),
      ownProposals: new Map(stored.proposals.map(([bytes, ref, proposal]) => [bytes, { ref, proposal }])),
      hasLeft: stored.wasCutOff,
      chain: {
        links: new Map(stored.links),
        epochSeq: stored.epochSeq ?? stored.position,
        lost: (stored.lost ?? []).map(([above, links]) => ({ above, links: new Map(links) })),
      },
      suspected: new Set(stored.suspected),
      journal: { commits: stored.commits ?? [], proposals: new Map(stored.proposedAt) },
      restart: stored.restart,
      outbox: stored.outbox ?? [],
    };
  }

  /** Saves a first external commit and the state after it, in case the device crashes before it gets the answer. */
  async saveJoin(commit: string, state: GroupState): Promise<void> {
    await this.#store.write([[joiningKey(this.#id), JSON.stringify({ commit, state: this.#mls.encode(state) })]]);
  }

  async loadJoin(): Promise<{ commit: string; state: GroupState } | undefined> {
    const text = await this.#store.get(joiningKey(this.#id));
    if (text === undefined) return undefined;
    const { commit, state } = JSON.parse(text) as { commit: string; state: string };
    return { commit, state: this.#mls.decode(state) };
  }

  /** Deletes the saved external commit: the join is over. */
  async deleteJoin(): Promise<void> {
    await this.#store.write([[joiningKey(this.#id), undefined]]);
  }

  /** Position of the log when the device asked last which messages were deleted. */
  async deletionsReadTo(): Promise<number> {
    return Number((await this.#store.get(deletionsKey(this.#id))) ?? 0);
  }

  async saveDeletionsReadTo(position: number): Promise<void> {
    const text = String(position);
    if ((await this.#store.get(deletionsKey(this.#id))) !== text)
      await this.#store.write([[deletionsKey(this.#id), text]]);
  }

  /** In the order in which the device got them. */
  async messages(): Promise<ReceivedMessage[]> {
    const keys = await this.#store.keys(messagePrefix(this.#id));
    const texts = await Promise.all(keys.map((key) => this.#store.get(key)));
    const messages = texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as ReceivedMessage]));
    return messages.sort(inOrder);
  }

  #changesOf({ before, after }: MessageChange): StoreChange[] {
    const gone: StoreChange[] = before === undefined ? [] : [[messageKey(this.#id, before), undefined]];
    return after === undefined ? gone : [...gone, [messageKey(this.#id, after), JSON.stringify(after)]];
  }

  /** Deletes the group's secrets; its messages stay. */
  async deleteState(): Promise<void> {
    await this.#store.write([[groupKey(this.#id), undefined]]);
  }
}

/** A message as it is now, and as it was before: the log has lost it, or has it again; or another group has it now. */
export interface MessageChange {
  readonly before?: ReceivedMessage;
  readonly after?: ReceivedMessage;
}

/** Another message may get the `seq` of a lost one. */
function messageKey(id: string, { seq, lost }: ReceivedMessage): string {
  return `${messagePrefix(id)}${lost === undefined ? seq : `lost/${lost.at}/${seq}`}`;
}
