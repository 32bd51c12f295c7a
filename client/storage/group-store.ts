import type { ClientConfig, ClientState, ProposalWithSender } from 'ts-mls';
import { decodeGroupState, encodeGroupState } from 'ts-mls';
import { encode } from 'ts-mls/codec/tlsEncoder.js';
import { decodeProposalWithSender, proposalWithSenderEncoder } from 'ts-mls/unappliedProposals.js';
import { fromBase64, toBase64 } from '../platform/bytes.ts';
import type { DeviceStore } from './device-store.ts';

/** A message of the group, decrypted; one's own come from the log too, so that the order is everybody's. */
export interface ReceivedMessage {
  readonly seq: number;
  readonly epoch: number;
  /** User id, as the sender's leaf has it. */
  readonly sender: string;
  readonly text: string;
}

/** An own proposal that has not come back in the log. */
export interface OwnProposal {
  /** ProposalRef, base64 (RFC 9420 §5.2). */
  readonly ref: string;
  readonly proposal: ProposalWithSender;
}

/** All that a device knows of a group, but for its messages. */
export interface GroupRecord {
  readonly state: ClientState;
  /** `seq` up to which the state has seen the log. */
  readonly position: number;
  /** Commits on the current epoch that were accepted or not: the state each leads to, by its bytes. */
  readonly pending: ReadonlyMap<string, ClientState>;
  /** Texts of own messages that have not come back in the log, by id: a sender cannot decrypt its own. */
  readonly sent: ReadonlyMap<string, string>;
  /** By their bytes: a sender cannot decrypt these either. */
  readonly proposals: ReadonlyMap<string, OwnProposal>;
  /** No longer a member. */
  readonly wasCutOff: boolean;
}

interface StoredGroup {
  readonly state: string;
  readonly position: number;
  readonly pending: [string, string][];
  readonly sent: [string, string][];
  readonly proposals: [string, string, string][];
  readonly wasCutOff: boolean;
}

const groupKey = (id: string): string => `group/${id}`;
const joiningKey = (id: string): string => `joining/${id}`;
const messagesOf = (id: string): string => `message/${id}/`;

/** Ids of the groups in a store. */
export async function storedGroups(store: DeviceStore): Promise<string[]> {
  const prefix = groupKey('');
  return (await store.keys(prefix)).map((key) => key.slice(prefix.length));
}

/** Ids of the groups that a device was about to come into. */
export async function storedJoinings(store: DeviceStore): Promise<string[]> {
  const prefix = joiningKey('');
  return (await store.keys(prefix)).map((key) => key.slice(prefix.length));
}

/** Keeps one group in a device's store. */
export class GroupStore {
  readonly #store: DeviceStore;
  readonly #id: string;
  #isClosed = false;

  constructor(store: DeviceStore, id: string) {
    this.#store = store;
    this.#id = id;
  }

  /** Whoever still saves by this comes too late: another state of the group has taken over, or none. */
  close(): void {
    this.#isClosed = true;
  }

  async save({ state, position, pending, sent, proposals, wasCutOff }: GroupRecord): Promise<void> {
    if (this.#isClosed) return;
    const stored: StoredGroup = {
      state: encodeState(state),
      position,
      pending: [...pending].map(([bytes, next]) => [bytes, encodeState(next)]),
      sent: [...sent],
      proposals: [...proposals].map(([bytes, { ref, proposal }]) => [bytes, ref, encodeProposal(proposal)]),
      wasCutOff,
    };
    await this.#store.set(groupKey(this.#id), JSON.stringify(stored));
  }

  async load(config: ClientConfig): Promise<GroupRecord | undefined> {
    const text = await this.#store.get(groupKey(this.#id));
    if (text === undefined) return undefined;
    const stored = JSON.parse(text) as StoredGroup;
    return {
      state: decodeState(stored.state, config),
      position: stored.position,
      pending: new Map(stored.pending.map(([bytes, next]) => [bytes, decodeState(next, config)])),
      sent: new Map(stored.sent),
      proposals: new Map(
        stored.proposals.map(([bytes, ref, proposal]) => [bytes, { ref, proposal: decodeProposal(proposal) }]),
      ),
      wasCutOff: stored.wasCutOff,
    };
  }

  /** Remembers what a first external commit leads to, for a device that does not live to see its answer. */
  async saveJoining(commit: string, state: ClientState): Promise<void> {
    await this.#store.set(joiningKey(this.#id), JSON.stringify({ commit, state: encodeState(state) }));
  }

  async loadJoining(config: ClientConfig): Promise<{ commit: string; state: ClientState } | undefined> {
    const text = await this.#store.get(joiningKey(this.#id));
    if (text === undefined) return undefined;
    const { commit, state } = JSON.parse(text) as { commit: string; state: string };
    return { commit, state: decodeState(state, config) };
  }

  async joined(): Promise<void> {
    await this.#store.delete(joiningKey(this.#id));
  }

  async saveMessage(message: ReceivedMessage): Promise<void> {
    await this.#store.set(`${messagesOf(this.#id)}${message.seq}`, JSON.stringify(message));
  }

  async messages(): Promise<ReceivedMessage[]> {
    const keys = await this.#store.keys(messagesOf(this.#id));
    const texts = await Promise.all(keys.map((key) => this.#store.get(key)));
    const messages = texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as ReceivedMessage]));
    return messages.sort((a, b) => a.seq - b.seq);
  }

  /** Forgets the group's secrets; its messages stay. */
  async forget(): Promise<void> {
    await this.#store.delete(groupKey(this.#id));
  }
}

function encodeState(state: ClientState): string {
  return toBase64(encodeGroupState(state));
}

function decodeState(base64: string, clientConfig: ClientConfig): ClientState {
  const decoded = decodeGroupState(fromBase64(base64), 0);
  if (decoded === undefined) throw new Error('not a group state');
  return { ...decoded[0], clientConfig };
}

function encodeProposal(proposal: ProposalWithSender): string {
  return toBase64(encode(proposalWithSenderEncoder)(proposal));
}

function decodeProposal(base64: string): ProposalWithSender {
  const decoded = decodeProposalWithSender(fromBase64(base64), 0);
  if (decoded === undefined) throw new Error('not a proposal');
  return decoded[0];
}
