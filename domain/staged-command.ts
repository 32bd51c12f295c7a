import type {
  BarCommand,
  Command,
  CommandKind,
  CommitCommand,
  DeleteCommand,
  IncrementCommand,
  LeaveCommand,
  MessageCommand,
  PolicyCommand,
  ReadCommand,
  ResetCommand,
  RoleCommand,
} from './command.ts';

/**
 * A staged command: the form in which a command stands in updates, signals and histories. Bytes, sender, epoch and user
 * ids stay in a row of the table `staged`. Here stand the key of that row and small facts (invariant 10). Field names are
 * sent JSON: processes of other versions read them.
 *
 * Every command is staged that must not be decided late. Who decides it deletes its row in the same transaction, so a late
 * copy finds nothing: what was refused stays refused.
 */

interface ReferenceBase {
  readonly id: string;
  /** Milliseconds since 1970, as in the command. */
  readonly notAfter?: number;
  /** Key of the staged row. */
  readonly body: number;
  /** Bytes of the command beside its Welcome and GroupInfo. Bounds what one batch copies under the lock. */
  readonly size: number;
}

interface StagedMessage extends ReferenceBase {
  readonly kind: 'message';
  readonly type?: 'proposal';
  readonly sha256: string;
  /** Of a public proposal: whether it was verified. */
  readonly verified?: boolean;
  readonly push?: MessageCommand['push'];
  readonly deleteHash?: string;
  readonly position?: string;
}

interface StagedCommit extends ReferenceBase {
  readonly kind: 'commit';
  readonly position?: string;
  readonly sha256?: string;
  /** It has waited for a reservation. */
  readonly deferred?: true;
  /** Of an add or remove without a commit (`opaque`): which of the two. It only names the update. */
  readonly change?: 'add' | 'remove';
}

interface StagedGroupInfo extends ReferenceBase {
  readonly kind: 'group-info';
}

interface StagedLeave extends ReferenceBase {
  readonly kind: 'leave';
  readonly position?: string;
  readonly sha256?: string;
  readonly verified?: boolean;
}

interface StagedJoinRequest extends ReferenceBase {
  readonly kind: 'join-request';
  readonly position?: string;
  readonly sha256: string;
}

interface StagedReport extends ReferenceBase {
  readonly kind: 'report';
  readonly seq: number;
  readonly epoch: number;
}

/** Nothing of it is small and no user id: all its parts stand in the row. */
interface StagedChange extends ReferenceBase {
  readonly kind: 'role' | 'policy' | 'bar' | 'reset' | 'delete';
}

/** A command whose sender, and whatever it has of bytes and user ids, stand in a staged row. */
type StagedReference =
  StagedMessage | StagedCommit | StagedGroupInfo | StagedLeave | StagedJoinRequest | StagedReport | StagedChange;

/** An increment that is stored, and was answered. Its user and its amount stand in a row of `pending_increment`. */
export interface StoredIncrement {
  readonly kind: 'increment';
  readonly id: string;
  /** Key of the row. */
  readonly stored: number;
}

/** An add or remove without a commit (`opaque`). */
type BareMembershipChange = Pick<CommitCommand, 'kind' | 'id' | 'actor' | 'notAfter' | 'adds' | 'removes' | 'epoch'> & {
  readonly deferred?: true;
};
type BareLeave = Pick<LeaveCommand, 'kind' | 'id' | 'actor' | 'notAfter'>;

/** A command that travels whole. This version sends read marks so, and increments; 0.2.0 sent all of them. */
type WholeCommand =
  | BareMembershipChange
  | BareLeave
  | ReadCommand
  | IncrementCommand
  | RoleCommand
  | PolicyCommand
  | BarCommand
  | ResetCommand
  | DeleteCommand;

export type StagedCommand = StagedReference | StoredIncrement | WholeCommand;

/** Kinds that are never staged: decided late or twice they change nothing that a refusal has promised. */
const WHOLE: ReadonlySet<CommandKind> = new Set(['read', 'increment']);

/** Whether a command takes a staged row on the workflow path. */
export function needsStaging({ kind }: Command): boolean {
  return !WHOLE.has(kind);
}

/** Whether the content and the sender of a command stand in a row. */
export function isStaged(command: Command | StagedCommand): command is StagedReference | StoredIncrement {
  return 'body' in command || 'stored' in command;
}

/**
 * The staged form of a command.
 * @param body key of its staged row; `undefined` = nothing was staged
 * @throws TypeError for a command that must be staged ({@link needsStaging}) and was not
 */
export function toStagedCommand(command: Command, body: number | undefined): StagedCommand {
  return body === undefined ? whole(command) : byReference(command, body);
}

function byReference(command: Command, body: number): StagedReference {
  const { id, notAfter } = command;
  const common = { id, ...(notAfter === undefined ? {} : { notAfter }), body };
  switch (command.kind) {
    case 'message': {
      const { kind, type, sha256, push, deleteHash, bytes } = command;
      const size = bytes.ciphertext.length;
      const given = {
        ...(type === undefined ? {} : { type }),
        ...(push === undefined ? {} : { push }),
        ...(deleteHash === undefined ? {} : { deleteHash }),
      };
      return { ...common, kind, size, sha256, ...given, ...verdictOf(command), ...positionOf(command) };
    }
    case 'commit': {
      const { kind, sha256, bytes } = command;
      const size = bytes?.ciphertext.length ?? 0;
      const small = { ...deferredOf(command), ...changeOf(command), ...positionOf(command) };
      return { ...common, kind, size, ...hashOf(sha256), ...small };
    }
    case 'leave': {
      const { kind, sha256, bytes } = command;
      const size = bytes?.ciphertext.length ?? 0;
      return { ...common, kind, size, ...hashOf(sha256), ...verdictOf(command), ...positionOf(command) };
    }
    case 'group-info':
      return { ...common, kind: command.kind, size: command.bytes.groupInfo?.length ?? 0 };
    case 'join-request': {
      const { kind, sha256, bytes } = command;
      return { ...common, kind, size: bytes.ciphertext.length, sha256, ...positionOf(command) };
    }
    case 'report': {
      const { kind, seq, epoch, reason, epochAuthenticator } = command;
      return { ...common, kind, size: reason.length + (epochAuthenticator?.length ?? 0), seq, epoch };
    }
    case 'role':
    case 'policy':
    case 'bar':
    case 'reset':
    case 'delete':
      return { ...common, kind: command.kind, size: 0 };
    case 'read':
    case 'increment':
      throw new TypeError(`A command of kind ${command.kind} has nothing to stage`);
  }
}

function whole(command: Command): WholeCommand {
  if (command.kind === 'read' || command.kind === 'increment') return command;
  throw new TypeError(`A command of kind ${command.kind} was not staged`);
}

function hashOf(sha256: string | undefined): { sha256?: string } {
  return sha256 === undefined ? {} : { sha256 };
}

function positionOf({ position }: { readonly position?: string }): { position?: string } {
  return position === undefined ? {} : { position };
}

function verdictOf({ isVerified }: { readonly isVerified?: boolean }): { verified?: boolean } {
  return isVerified === undefined ? {} : { verified: isVerified };
}

function deferredOf({ waitedForReservation }: CommitCommand): { deferred?: true } {
  return waitedForReservation === true ? { deferred: true } : {};
}

/** A commit without bytes adds or removes. */
function changeOf({ sha256, removes = [] }: CommitCommand): { change?: 'add' | 'remove' } {
  if (sha256 !== undefined) return {};
  return { change: removes.length > 0 ? 'remove' : 'add' };
}
