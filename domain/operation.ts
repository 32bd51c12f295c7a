import type { ProblemCode } from './errors.ts';
import type { Policy } from './policy.ts';

/**
 * Operations and their outcomes: what the lane, the workflow, the activities and the deciding transaction pass on.
 * Every operation has an id that is unique in its conversation, so that a retry is answered and never applied again.
 */

/** Fields that every operation has. */
interface OperationBase {
  readonly id: string;
  /** Milliseconds since 1970; the deciding transaction refuses the operation after it (invariant 11). */
  readonly notAfter?: number;
}

/** Bytes of an operation handed to the deciding call itself: 1-based positions in its byte array. */
export interface InlineBytes {
  readonly ciphertext?: number;
  readonly welcome?: number;
  readonly groupInfo?: number;
}

/**
 * An application message or proposal. By reference (`body` = key of the staged row, which also holds sender, epoch and
 * bytes) in the workflow path, so that history pairs no sender with a message; inline in the direct path.
 */
export interface MessageOperation extends OperationBase {
  readonly kind: 'message';
  /** Absent = application. */
  readonly type?: 'proposal';
  /** Lower-case hex over the decoded bytes. */
  readonly sha256: string;
  /** Ciphertext size in bytes. */
  readonly size: number;
  readonly body?: number;
  readonly actor?: string;
  /** Epoch of the frame; absent in `opaque` conversations when the client states none. */
  readonly epoch?: number;
  readonly bytes?: InlineBytes;
}

/** What goes with a commit and no history may hold: in the workflow path it stands in the staged row. */
export interface CommitRequest {
  /** Users whose devices it adds; members get further devices. */
  readonly adds?: readonly string[];
  /** Users all of whose devices it removes. */
  readonly removes?: readonly string[];
  /** KeyPackageRefs that the Welcome names, as lower-case hex (`mls`). */
  readonly refs?: readonly string[];
  /** KeyPackageRefs that a public commit without a Welcome adds, as lower-case hex. */
  readonly uses?: readonly string[];
  /** Users who have leaves in the ratchet tree after the commit; absent when no tree came with it. */
  readonly leaves?: readonly string[];
  /** Users some of whose leaves it removes, and users all of whose leaves it removes without naming them in `removes`. */
  readonly trimmed?: readonly string[];
  readonly dropped?: readonly string[];
  /** An external commit (RFC 9420 §12.4.3.2) whose leaf was checked to be the actor's. */
  readonly external?: true;
}

/** A commit, or in `opaque` conversations an add or remove without one (then `sha256` is absent). */
export interface CommitOperation extends OperationBase, CommitRequest {
  readonly kind: 'commit';
  readonly sha256?: string;
  readonly size: number;
  readonly body?: number;
  readonly actor?: string;
  /** The epoch that the commit ends. */
  readonly epoch?: number;
  readonly bytes?: InlineBytes;
  /** It has waited out somebody's reservation once, and is not asked to wait again. */
  readonly deferred?: true;
}

/** A GroupInfo for the current epoch, from a member; the first one stays. */
export interface GroupInfoOperation extends OperationBase {
  readonly kind: 'group-info';
  readonly size: number;
  readonly body?: number;
  readonly actor?: string;
  /** Of the GroupInfo. */
  readonly epoch?: number;
  /** As in {@link CommitRequest}. */
  readonly leaves?: readonly string[];
  readonly bytes?: InlineBytes;
}

/** The actor leaves; `sha256` and a body when it sends its own Remove proposal with it. */
export interface LeaveOperation extends OperationBase {
  readonly kind: 'leave';
  readonly sha256?: string;
  readonly size: number;
  readonly body?: number;
  readonly actor?: string;
  readonly epoch?: number;
  readonly bytes?: InlineBytes;
}

/** Moves the actor's read position forward and clears its explicit increments. */
export interface ReadOperation extends OperationBase {
  readonly kind: 'read';
  readonly actor: string;
  /** Absent = everything. */
  readonly seq?: number;
}

/** Adds to the unread count of every member but the actor. */
export interface IncrementOperation extends OperationBase {
  readonly kind: 'increment';
  readonly actor: string;
  readonly by: number;
}

export interface RoleOperation extends OperationBase {
  readonly kind: 'role';
  readonly actor: string;
  readonly user: string;
  readonly role: 'admin' | 'member';
}

export interface PolicyOperation extends OperationBase {
  readonly kind: 'policy';
  readonly actor: string;
  readonly policy: Partial<Policy>;
}

/** The actor cannot process an entry; enough of these open a reset. */
export interface ReportOperation extends OperationBase {
  readonly kind: 'report';
  readonly size: number;
  readonly body?: number;
  readonly actor?: string;
  /** The entry that it cannot process. */
  readonly seq: number;
  /** Where its device stands. */
  readonly epoch: number;
  /** In the staged row in the workflow path, with the authenticator: it is the user's own text. */
  readonly reason?: string;
  /** Base64. */
  readonly epochAuthenticator?: string;
}

/** Hands the conversation over to a new one with the same members and policy. */
export interface ResetOperation extends OperationBase {
  readonly kind: 'reset';
  readonly actor: string;
  /** Id of the new conversation. */
  readonly successor: string;
}

export interface DeleteOperation extends OperationBase {
  readonly kind: 'delete';
  readonly actor: string;
}

/** Everything the deciding transaction can decide. */
export type Operation =
  | MessageOperation
  | CommitOperation
  | GroupInfoOperation
  | LeaveOperation
  | ReadOperation
  | IncrementOperation
  | RoleOperation
  | PolicyOperation
  | ReportOperation
  | ResetOperation
  | DeleteOperation;

/**
 * Codes with which an operation is refused. Two are internal. `body-missing`: the staged row is gone (an earlier attempt
 * was decided, or a sweep took it), and the API decides again with the bytes inline. `deferred`: somebody else's
 * reservation holds for `forMs`; the lane has the commit decided again after that, with `deferred: true`.
 */
export type RefusalCode = ProblemCode | 'body-missing' | 'deferred';

/** Decided now. */
export interface Accepted {
  readonly status: 'accepted';
  readonly seq?: number;
  /** Message: the frame's epoch. Commit: the new epoch. */
  readonly epoch?: number;
  readonly sha256?: string;
  /** RFC 3339. */
  readonly at?: string;
  readonly unread?: number;
  readonly role?: string;
  readonly policy?: Policy;
  /** Of a report: distinct members who reported of late, and how many open a reset. */
  readonly reports?: number;
  readonly needed?: number;
  /** Of a report: members may reset the conversation. */
  readonly open?: boolean;
  readonly successor?: string;
}

/** Decided earlier; the rest is the original answer. */
export interface Duplicate extends Omit<Accepted, 'status'> {
  readonly status: 'duplicate';
}

/** Nothing was stored. */
export interface Refused {
  readonly status: 'refused';
  readonly code: RefusalCode;
  readonly currentEpoch?: number;
  readonly submittedEpoch?: number;
  readonly winner?: { readonly seq: number; readonly sha256: string };
  readonly after?: number;
  readonly seq?: number;
  /** `key-package-stale`: KeyPackageRefs, base64. */
  readonly refs?: readonly string[];
  /** `superseded`. */
  readonly successor?: string;
  /** `deferred`, `rate-limited`: milliseconds; absent = time alone does not help. */
  readonly forMs?: number;
  /** `group-info-mismatch`, `welcome-mismatch`, `membership-mismatch`, `not-allowed`, `rate-limited`: which of its reasons it was. */
  readonly detail?: string;
}

export type Outcome = Accepted | Duplicate | Refused;

/** What a decision says of the conversation after it; the workflow keeps it as a cache that heals from each result. */
export interface ConversationFacts {
  /** False: there is no such conversation (any more). */
  readonly found: boolean;
  readonly protocol: string;
  readonly epoch: number;
  readonly lastSeq: number;
  readonly memberCount: number;
  /** More than entries changed: members, roles, policy or the conversation itself. Streams look for it. */
  readonly changed?: true;
  /** When the conversation next needs its timer, in milliseconds since 1970; absent = never. */
  readonly dueAt?: number;
}

/** One decision: an outcome for each operation, in their order. */
export interface Decision {
  readonly facts: ConversationFacts;
  readonly outcomes: readonly Outcome[];
}
