// What this library needs of an MLS library. ts-mls is behind it (ts-mls/), and another one can be: OpenMLS by WebAssembly, for
// example, whose groups are copied where they change in place.

declare const opaque: unique symbol;

/**
 * A state of one group: the keys of an epoch, its tree, and its pending proposals. It is a value: no step changes a state, each
 * step gives a new one. Only the MLS library that made it looks inside.
 */
export interface GroupState {
  readonly [opaque]: 'state of a group';
}

/** With which a device signs. */
export interface SignatureKeyPair {
  readonly signKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** The user and the signature keys in the leaf of a device. */
export interface LeafOwner {
  readonly user: string;
  readonly signatureKeyPair: SignatureKeyPair;
}

/** A device in a group, as its leaf names it (RFC 9420 §7.2). */
export interface Leaf {
  /** User id in the basic credential (RFC 9420 §5.3); absent: a credential of another type. */
  readonly user?: string;
  /** Signature key, base64. */
  readonly device: string;
}

/** Who sent a message. */
export interface MessageSender {
  /** Index in the tree of the message's epoch; that of a joiner in the tree after its commit. */
  readonly leaf: number;
  readonly user: string;
  /** Signature key of the leaf, base64: the device. */
  readonly device: string;
}

/** A KeyPackage of another device (RFC 9420 §10). */
export interface KeyPackage extends Leaf {
  /** MLSMessage, base64. */
  readonly message: string;
}

/** A KeyPackage with its secrets, which never leave the device. It serves for one join. */
export interface OwnKeyPackage {
  /** KeyPackageRef, base64 (RFC 9420 §5.2). */
  readonly ref: string;
  /** MLSMessage, base64. */
  readonly message: string;
  /** Secrets by name, base64. */
  readonly secrets: Readonly<Record<string, string>>;
  /** It may serve for several joins, when the device has no other KeyPackage left. */
  readonly isLastResort: boolean;
}

/** A proposal that this device makes, alone or in a commit (RFC 9420 §12.1). */
export type Proposal =
  { readonly kind: 'add'; readonly keyPackage: KeyPackage } | { readonly kind: 'remove'; readonly leaf: number };

/** A proposal in the log that no commit has taken in yet. `sender`: index of its leaf; absent: it is not of a member. */
export type PendingProposal = { readonly sender?: number } & (
  | ({
      readonly kind: 'add';
      /** The key package is of the group's cipher suite. */
      readonly isOfSuite: boolean;
    } & Leaf)
  | { readonly kind: 'remove'; readonly leaf: number }
  | {
      readonly kind: 'update';
      readonly leaf: number;
      /** It leaves the leaf to its user and its signature key. */
      readonly keepsOwner: boolean;
    }
  | { readonly kind: 'other' }
);

/** What can be seen of a state. */
export interface GroupView {
  readonly groupId: Uint8Array;
  readonly epoch: number;
  /** By leaf index (RFC 9420 §7.8). A user has one leaf for each device. */
  readonly leaves: ReadonlyMap<number, Leaf>;
  /** Index of the own leaf. */
  readonly ownLeaf: number;
  /** A commit removed the own leaf. */
  readonly isRemoved: boolean;
  /** Base64. Two members with the same epoch authenticator have the same group state (RFC 9420 §8.7). */
  readonly epochAuthenticator: string;
  /** The authenticated_data of each message of the group begins with a SafeAAD (draft-ietf-mls-extensions §4.9). */
  readonly usesSafeAad: boolean;
  /** By ProposalRef, base64 (RFC 9420 §5.2), in the order of the log. */
  readonly proposals: ReadonlyMap<string, PendingProposal>;
  /** False: a limit of the MLS library keeps new members from joining with this tree. */
  readonly acceptsJoiners: boolean;
  /** The tree does not accept joiners, and a commit of the own leaf could change that. */
  readonly blocksJoiners: boolean;
}

/** How a handshake message is framed (RFC 9420 §6). */
export interface Framing {
  readonly authenticatedData: Uint8Array;
  /** As PublicMessage. @default false */
  readonly isPublic?: boolean;
}

/** A commit, and the state after it. All bytes are MLSMessages, base64. */
export interface NewCommit {
  readonly state: GroupState;
  readonly commit: string;
  /** Absent: nobody is added. */
  readonly welcome?: string;
  /** Of the epoch after it, with its ratchet tree. */
  readonly groupInfo: string;
}

/** A proposal that was made, and the form in which it is put into the state when it is read in the log. */
export interface NewProposal {
  /** The keys that it used are gone from this state. The proposal is not in it. */
  readonly state: GroupState;
  /** MLSMessage, base64. */
  readonly message: string;
  /** ProposalRef, base64. */
  readonly ref: string;
  /** For `withProposal`, base64. */
  readonly proposal: string;
}

/** What a message did, and who sent it. `sender` is absent where it is not a member, and no joiner. */
export type Processed = { readonly state: GroupState; readonly authenticatedData: Uint8Array } & (
  | { readonly kind: 'application'; readonly sender: MessageSender; readonly data: Uint8Array }
  | { readonly kind: 'proposal'; readonly sender: MessageSender | undefined }
  | {
      readonly kind: 'commit';
      readonly sender: MessageSender | undefined;
      readonly isExternal: boolean;
      /** Leaves that its proposals removed. */
      readonly removed: readonly number[];
    }
);

/** The parts of a GroupInfo that say whether a device can join by it. */
export interface GroupInfoFacts {
  readonly groupId: Uint8Array;
  readonly epoch: number;
  readonly acceptsJoiners: boolean;
}

/**
 * An MLS library (RFC 9420) with one cipher suite. Messages are MLSMessages in base64. What is not authentic, not for the state or
 * not well formed is an error.
 */
export interface MlsLibrary {
  /** Number of the cipher suite (RFC 9420 §17.1). */
  readonly cipherSuite: number;

  /** A new key pair of the cipher suite. */
  newSignatureKeyPair(): Promise<SignatureKeyPair>;
  /** The identity of its basic credential is the user id (RFC 9420 §5.3, §10). */
  newKeyPackage(owner: LeafOwner, options?: { readonly isLastResort?: boolean }): Promise<OwnKeyPackage>;
  /** Reads the KeyPackage of another device, and verifies its signatures (RFC 9420 §10.1). */
  readKeyPackage(message: string): Promise<KeyPackage>;
  /** End of the lifetime of a KeyPackage (RFC 9420 §7.2), in milliseconds since 1970. */
  endOf(keyPackage: string): number;
  /** KeyPackageRefs of those whom a Welcome is for (RFC 9420 §12.4.3.1). */
  readWelcome(message: string): readonly string[];
  /** @throws Error also if it has no ratchet tree */
  readGroupInfo(message: string): GroupInfoFacts;

  /** Makes a group with one leaf. @param externalSender for `external_senders` (RFC 9420 §12.1.8.1), base64 */
  create(groupId: Uint8Array, owner: LeafOwner, externalSender?: string): Promise<GroupState>;
  /** Joins by a Welcome (RFC 9420 §12.4.3.1). */
  joinByWelcome(welcome: string, own: OwnKeyPackage, owner: LeafOwner): Promise<GroupState>;
  /** By external commit (RFC 9420 §12.4.3.2). It replaces the leaf with the same signature key, if there is one. */
  joinByCommit(groupInfo: string, owner: LeafOwner, authenticatedData?: Uint8Array): Promise<NewCommit>;
  /** A new_member_proposal for this key package (RFC 9420 §12.1.8). */
  askToJoin(group: Pick<GroupInfoFacts, 'groupId' | 'epoch'>, own: OwnKeyPackage, owner: LeafOwner): Promise<string>;

  /** What the client library has to know of a group. */
  view(state: GroupState): GroupView;
  /** Processes a message of the log (RFC 9420 §6, §12.4.2). */
  process(state: GroupState, message: string): Promise<Processed>;
  /** An application message. The state that it gives must be durable before the message is sent: its key serves once. */
  encrypt(
    state: GroupState,
    data: Uint8Array,
    authenticatedData: Uint8Array,
  ): Promise<{ state: GroupState; message: string }>;
  /** A proposal of this device. */
  propose(state: GroupState, proposal: Proposal, framing: Framing): Promise<NewProposal>;
  /** A commit. @param pending ProposalRefs of the pending proposals that the commit takes in */
  commit(
    state: GroupState,
    proposals: readonly Proposal[],
    pending: readonly string[],
    framing: Framing,
  ): Promise<NewCommit>;
  /** GroupInfo of the state with its ratchet tree, for the service and for joiners (RFC 9420 §12.4.3). */
  groupInfo(state: GroupState): Promise<string>;

  /** The state with a proposal of this device: a sender cannot decrypt its own. */
  withProposal(state: GroupState, ref: string, proposal: string): GroupState;
  /** The state without pending proposals. */
  withoutProposals(state: GroupState, refs: ReadonlySet<string>): GroupState;
  /** The state with the keys of the past epochs that another state of the group has, for messages that come late. */
  withPastEpochs(state: GroupState, before: GroupState): GroupState;
  /**
   * What may stay of a state whose epoch the service has lost: the keys with which messages of `epoch` and before are read. All
   * else is gone, also what a message or a commit could be sent with.
   * @param epoch the last one that the device and the log have in common; `undefined`: not known
   */
  readable(state: GroupState, epoch: number | undefined): GroupState;
  /** The state has the secrets of its epoch. */
  isWhole(state: GroupState): boolean;

  /** Base64. It has all secrets of the state. */
  encode(state: GroupState): string;
  /** What {@link MlsLibrary.encode} gave. */
  decode(text: string): GroupState;

  /** MLS-Exporter (RFC 9420 §8.5). */
  exportSecret(state: GroupState, label: string, context: Uint8Array, length: number): Promise<Uint8Array>;
  /** A signature of these bytes. */
  sign(signKey: Uint8Array, bytes: Uint8Array): Promise<Uint8Array>;
  /** Whether the signature is right. */
  verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): Promise<boolean>;
  /** AEAD of the cipher suite. */
  readonly aead: Aead;
}

/** Authenticated encryption of the cipher suite. */
export interface Aead {
  /** Bytes of a key. */
  readonly keyLength: number;
  readonly nonceLength: number;
  /** Encrypts. */
  seal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Promise<Uint8Array>;
  /** Decrypts. @throws Error if the bytes were altered */
  open(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, ciphertext: Uint8Array): Promise<Uint8Array>;
}

/** Loads an MLS library. */
export type LoadMls = (options: {
  /** @throws Error if the MLS library does not have it */
  readonly cipherSuite: number;
  /** Asked about every leaf of a tree before it is used, and before its signature is verified: is the signature key the user's? */
  readonly verify: (user: string, signatureKey: Uint8Array) => Promise<boolean>;
}) => Promise<MlsLibrary>;

/** MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519, the one cipher suite that every MLS client has (RFC 9420 §17.1). */
export const CIPHER_SUITE = 1;
