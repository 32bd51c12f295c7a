/** What the service answers, as JSON. Bytes are standard base64, times RFC 3339. */

export type Role = 'admin' | 'member' | 'removed';
export type EntryKind = 'application' | 'commit' | 'proposal';

/** One entry of a conversation's log. */
export interface Entry {
  readonly seq: number;
  readonly kind: EntryKind;
  /** Absent, as are `ciphertext` and `at`, if the entry has expired. */
  readonly id?: string;
  /** The one in its frame: for a commit the epoch that it ends. */
  readonly epoch: number;
  readonly ciphertext?: string;
  /** Absent for application messages of `mls` conversations. */
  readonly sender?: string;
  readonly at?: string;
  readonly expired?: true;
}

export interface Page {
  readonly entries: readonly Entry[];
  /** Value for `after`; absent at the end. */
  readonly next?: number;
  readonly lastSeq: number;
}

export interface Policy {
  readonly whoMayAdd: 'admin' | 'member' | 'nobody';
  readonly whoMayRemove: 'admin' | 'member' | 'nobody';
  readonly whoMayPropose: 'admin' | 'member' | 'nobody';
  readonly externalJoin: 'nobody' | 'member' | 'anyone';
  readonly groupInfo: 'required' | 'optional';
  readonly maxMembers: number;
  readonly epochWindow: number;
  readonly retentionDays?: number;
}

export interface NewConversation {
  readonly id: string;
  readonly protocol?: 'mls' | 'opaque';
  readonly epoch?: number;
  readonly members?: readonly string[];
  readonly groupInfo?: string;
  readonly policy?: Partial<Policy>;
}

export interface Conversation {
  readonly id: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly lastSeq: number;
  readonly memberCount: number;
  readonly createdAt: string;
}

export interface ConversationDetails extends Conversation {
  readonly role: Role;
  readonly unread: number;
  readonly policy: Policy;
  readonly periods: readonly { readonly from: number; readonly to?: number }[];
}

export interface ConversationSummary {
  readonly id: string;
  readonly epoch: number;
  readonly lastSeq: number;
  readonly unread: number;
  readonly role: Role;
}

export interface Member {
  readonly user: string;
  readonly role: Role;
  readonly joinedSeq: number;
  readonly joinedEpoch: number;
}

/** A commit with everything that becomes true with it, or with none of it. */
export interface CommitBundle {
  readonly commit: string;
  readonly adds?: readonly string[];
  readonly removes?: readonly string[];
  readonly welcome?: string;
  readonly groupInfo?: string;
  readonly id?: string;
}

export interface CommitAccepted {
  readonly seq: number;
  /** The new epoch. */
  readonly epoch: number;
  readonly sha256: string;
  readonly at: string;
}

/** Parts of adding or removing by the members routes; without a commit in `opaque` conversations only. */
export interface MembershipChange {
  readonly commit?: string;
  readonly welcome?: string;
  readonly groupInfo?: string;
  readonly epoch?: number;
  readonly id?: string;
}

/** What goes with leaving: the own Remove proposal, as the group has to commit it (`mls`). */
export interface Leaving {
  readonly proposal?: string;
  readonly epoch?: number;
  readonly id?: string;
}

export interface MembershipChanged {
  readonly epoch: number;
  readonly seq: number;
}

export interface OutgoingMessage {
  readonly id: string;
  readonly ciphertext: string;
  readonly epoch?: number;
}

export interface SendResult {
  readonly id: string;
  readonly seq: number;
  readonly epoch: number;
  readonly status: 'accepted' | 'duplicate';
}

/** In list form each message has its own outcome. */
export type SendOutcome = SendResult | { readonly id: string; readonly status: number; readonly code: string };

/** How many key packages a device has in store. */
export interface KeyPackageStock {
  /** Without the last resort. */
  readonly available: number;
  readonly lastResort: boolean;
  /** Time to upload more. */
  readonly lowStock: boolean;
}

export interface KeyPackageUpload {
  /** MLSMessages, base64. */
  readonly keyPackages: readonly string[];
  /** Has the extension `last_resort`: handed out again and again once the others are gone. */
  readonly lastResort?: string;
}

export interface KeyPackagesStored {
  readonly stored: number;
  readonly available: number;
}

export interface ClaimRequest {
  /** Binds the packages to this conversation, which need not exist yet. */
  readonly conversation?: string;
  /** Only these. @default all devices of the user but one's own calling one */
  readonly devices?: readonly string[];
  /** Number in RFC 9420 §17.1. @default any */
  readonly cipherSuite?: number;
}

export interface ClaimedKeyPackage {
  readonly device: string;
  readonly keyPackage: string;
  /** KeyPackageRef, base64 (RFC 9420 §5.2). */
  readonly ref: string;
  readonly lastResort: boolean;
}

export interface ClaimedKeyPackages {
  readonly keyPackages: readonly ClaimedKeyPackage[];
  /** Devices that have none left. */
  readonly exhausted: readonly string[];
}

export interface Device {
  readonly device: string;
  readonly createdAt: string;
  readonly seenAt: string;
  readonly available: number;
  readonly lastResort: boolean;
  /** The one that asks. */
  readonly current: boolean;
}

/** `seq` by conversation id. */
export type Positions = Readonly<Record<string, number>>;

export interface CurrentGroupInfo {
  readonly groupInfo: string;
  readonly epoch: number;
}

/** "I cannot process entry `seq`". */
export interface Report {
  readonly seq: number;
  /** Where the device stands. */
  readonly epoch: number;
  /** One line for people. */
  readonly reason: string;
  /** Base64 (RFC 9420 §8.7). */
  readonly epochAuthenticator?: string;
}

export interface ReportTaken {
  /** Members who reported of late. */
  readonly reports: number;
  /** Members that open a reset. */
  readonly needed: number;
  /** Any member may reset the conversation. */
  readonly open: boolean;
}

export interface PendingWelcome {
  readonly id: string;
  readonly conversation: string;
  readonly welcome: string;
  /** Of the joining commit. */
  readonly seq: number;
  readonly epoch: number;
}

export interface PathSetting {
  readonly path: 'workflow' | 'direct' | 'auto';
  readonly rollout: number;
}

export interface PageQuery {
  readonly cursor?: string;
  readonly limit?: number;
}
