import type { Policy } from './policy.ts';
import type { PushLevel } from './push.ts';

/**
 * A command: what one user asks one conversation to do, complete with its bytes. Every command has an id that is unique in
 * its conversation, so that a retry gets the first answer and is never applied again.
 * On the workflow path a command travels as a {@link StagedCommand} (staged-command.ts).
 */

/** Bytes of a command, as the request brought them. */
export interface CommandBytes {
  /** Empty when only a Welcome or a GroupInfo comes with the command. */
  readonly ciphertext: Uint8Array;
  readonly welcome?: Uint8Array | undefined;
  readonly groupInfo?: Uint8Array | undefined;
}

/** Fields that every command has. */
interface CommandBase {
  readonly id: string;
  /** User id of the sender, from its token. */
  readonly actor: string;
  /** Milliseconds since 1970. The deciding transaction refuses the command after this time (invariant 11). */
  readonly notAfter?: number;
}

/** A command that may say what its sender has read. */
interface PositionedCommand extends CommandBase {
  /** `<seq>.<mark>`, or a plain seq (position.ts). The command is refused if the log does not go on from there. */
  readonly position?: string;
}

/** An application message or a proposal. */
export interface MessageCommand extends PositionedCommand {
  readonly kind: 'message';
  /** Absent = application message. */
  readonly type?: 'proposal';
  /** Lower-case hex over the ciphertext. */
  readonly sha256: string;
  /** Epoch of the frame. Absent in `opaque` conversations when the client states none. */
  readonly epoch?: number;
  /** Of a public proposal: whether the service could verify it against a proven context. */
  readonly isVerified?: boolean;
  /** Of an application message: how it wakes devices that sleep. Absent = normal. A retry may have another level. */
  readonly push?: Exclude<PushLevel, 'normal'>;
  /** Of an application message: SHA-256 of the secret that deletes its body, as lower-case hex. A retry has the same. */
  readonly deleteHash?: string;
  readonly bytes: CommandBytes;
}

/** What the service found out about a GroupInfo, and about the cipher suite of what came with it. */
export interface GroupInfoCheck {
  /** Cipher suite of the GroupInfo, the Welcome and the added key packages (RFC 9420 §17.1). */
  readonly cipherSuite?: number;
  /** What the GroupInfo lacks, and a policy may require. */
  readonly lacks?: readonly string[];
  /** The service has checked the GroupInfo and its whole ratchet tree. */
  readonly isGroupInfoChecked?: true;
  /** Its GroupContext follows from public commits since a context that the service proved. */
  readonly isContextProven?: true;
  /** The name of the sender's leaf that signed the GroupInfo: SHA-256 of its signature key, as lower-case hex. */
  readonly signerLeaf?: string;
  /** The device that sent it. */
  readonly device?: string;
  /** The service computed the ratchet tree that the GroupInfo leaves out, and offered it (`offerTree`). */
  readonly isTreeComputed?: true;
}

/** What a commit changes in the group, as far as the service can read it. */
export interface MembershipChange extends GroupInfoCheck {
  /** Users whose devices the commit adds. Members get further devices. */
  readonly adds?: readonly string[];
  /** Users all of whose devices the commit removes. */
  readonly removes?: readonly string[];
  /** KeyPackageRefs that the Welcome names, as lower-case hex (`mls`). */
  readonly welcomeRefs?: readonly string[];
  /** KeyPackageRefs that a public commit without a Welcome adds, as lower-case hex. */
  readonly consumedRefs?: readonly string[];
  /** Users who have leaves in the ratchet tree after the commit. Absent when no tree came with it. */
  readonly usersInTree?: readonly string[];
  /** Users who lose some of their leaves, and keep others. */
  readonly usersLosingSomeLeaves?: readonly string[];
  /** The leaves that they lose, as lower-case hex of the SHA-256 of their signature keys. */
  readonly leavesOfOthers?: readonly string[];
  /** Users who lose all of their leaves without a place in `removes`. */
  readonly usersLosingAllLeaves?: readonly string[];
  /** Users in `removes` who keep leaves. Only one with a pending removal may. */
  readonly usersKeepingLeaves?: readonly string[];
  /** Leaves that are gone from the ratchet tree, as lower-case hex of the SHA-256 of their signature keys. */
  readonly goneLeaves?: readonly string[];
  /** Leaves that were added to the ratchet tree from key packages, as lower-case hex of the SHA-256 of their nodes. */
  readonly newLeaves?: readonly string[];
  /** Leaves from key packages that are gone from the ratchet tree, named as `newLeaves`. */
  readonly lostLeaves?: readonly string[];
  /** Users without a place in `removes` who have no leaf any more, and the leaves that they had, named as above. */
  readonly droppedUsers?: readonly { readonly user: string; readonly leaves: readonly string[] }[];
  /** An external commit (RFC 9420 §12.4.3.2). Its leaf was checked to be the actor's. */
  readonly external?: true;
  /** Of a public commit: whether the service could verify it against a proven context. */
  readonly isVerified?: boolean;
}

/** A commit, or in `opaque` conversations an add or remove without one: then `sha256` is absent. */
export interface CommitCommand extends PositionedCommand, MembershipChange {
  readonly kind: 'commit';
  /** Lower-case hex over the commit. */
  readonly sha256?: string;
  /** The epoch that the commit ends. */
  readonly epoch?: number;
  readonly bytes?: CommandBytes;
  /** The commit has waited for the reservation of another user once, and does not wait again. */
  readonly waitedForReservation?: true;
}

/** A GroupInfo for the current epoch, from a member. The first one stays, unless an admin replaces it. */
export interface GroupInfoCommand extends CommandBase, GroupInfoCheck {
  readonly kind: 'group-info';
  /** Epoch of the GroupInfo. */
  readonly epoch?: number;
  /** Users who have leaves in its ratchet tree. Absent when it holds no tree. */
  readonly usersInTree?: readonly string[];
  readonly bytes: CommandBytes;
}

/** The actor leaves. `sha256` and `bytes` are set when its own Remove proposal comes with the command. */
export interface LeaveCommand extends PositionedCommand {
  readonly kind: 'leave';
  readonly sha256?: string;
  readonly epoch?: number;
  /** As for a message. */
  readonly isVerified?: boolean;
  readonly bytes?: CommandBytes;
}

/** The actor asks to join by a proposal with its own key package (RFC 9420 §12.1.8). A member asks for a further device. */
export interface JoinRequestCommand extends PositionedCommand {
  readonly kind: 'join-request';
  readonly sha256: string;
  readonly epoch?: number;
  /** The device that asks, and to which the Welcome goes. */
  readonly device: string;
  /** The key package in the proposal. All bytes as lower-case hex. Absent = only to look up an earlier answer. */
  readonly package?: {
    readonly ref: string;
    readonly suite: number;
    /** Milliseconds since 1970. */
    readonly notAfter: number;
    /** SHA-256 of each of its public keys. */
    readonly keys: { readonly init: string; readonly encryption: string; readonly signature: string };
    /** SHA-256 of its leaf node. */
    readonly leafNode: string;
    /** Where the KeyPackage stands in the proposal. */
    readonly offset: number;
    readonly size: number;
  };
  readonly bytes: CommandBytes;
}

/** Moves the actor's read position forward and clears its explicit increments. */
export interface ReadCommand extends PositionedCommand {
  readonly kind: 'read';
  /** Absent = everything. */
  readonly seq?: number;
  /** Moves it only backward, and clears nothing: what follows `seq` is unread again. */
  readonly back?: true;
}

/** Adds to the unread count of every member but the actor. */
export interface IncrementCommand extends CommandBase {
  readonly kind: 'increment';
  readonly by: number;
}

/** An admin changes the role of a member. */
export interface RoleCommand extends CommandBase {
  readonly kind: 'role';
  readonly user: string;
  readonly role: 'admin' | 'member';
}

/** An admin changes the policy; `null` takes a limit away. */
export interface PolicyCommand extends CommandBase {
  readonly kind: 'policy';
  readonly policy: PolicyPatch;
}

/** An admin says whether a user can come back by itself. */
export interface BarCommand extends CommandBase {
  readonly kind: 'bar';
  /** Need not be, or have been, a member. */
  readonly user: string;
  /** False = an earlier bar is lifted. */
  readonly barred: boolean;
}

/** Fields of a policy to change. Absent fields stay as they are. */
export type PolicyPatch = { readonly [K in keyof Policy]?: Policy[K] | null | undefined };

/** The actor cannot process an entry. Enough reports open a reset. */
export interface ReportCommand extends CommandBase {
  readonly kind: 'report';
  /** The entry that the actor cannot process. */
  readonly seq: number;
  /** Epoch of the actor's device. */
  readonly epoch: number;
  readonly reason: string;
  /** Base64. */
  readonly epochAuthenticator?: string;
}

/** Hands the conversation over to a new one with the same members and policy. */
export interface ResetCommand extends CommandBase {
  readonly kind: 'reset';
  /** Id of the new conversation. */
  readonly successor: string;
}

/** An admin deletes the conversation for everybody. */
export interface DeleteCommand extends CommandBase {
  readonly kind: 'delete';
}

export type Command =
  | MessageCommand
  | CommitCommand
  | GroupInfoCommand
  | LeaveCommand
  | JoinRequestCommand
  | ReadCommand
  | IncrementCommand
  | RoleCommand
  | PolicyCommand
  | BarCommand
  | ReportCommand
  | ResetCommand
  | DeleteCommand;

export type CommandKind = Command['kind'];

/** Every kind of command. The compiler refuses a list that lacks one. */
export const COMMAND_KINDS = Object.keys({
  message: true,
  commit: true,
  'group-info': true,
  leave: true,
  'join-request': true,
  read: true,
  increment: true,
  role: true,
  policy: true,
  bar: true,
  report: true,
  reset: true,
  delete: true,
} satisfies Record<CommandKind, true>) as readonly CommandKind[];
