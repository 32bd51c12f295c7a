import type {
  Command,
  CommandBytes,
  CommitCommand,
  GroupInfoCheck,
  GroupInfoCommand,
  JoinRequestCommand,
  MessageCommand,
  PolicyPatch,
  ReportCommand,
} from '../../domain/command.ts';
import type { StagedCommand } from '../../domain/staged-command.ts';

/**
 * Commands as JSON for the deciding function. Staged commands stand there as they are; a command with inline bytes names
 * them by 1-based positions in the byte array of the call. Field names are those that the SQL functions read.
 */

/** What a command says beside its bytes; on the workflow path a part of the staged row. */
export interface RequestJson {
  readonly adds?: readonly string[];
  readonly removes?: readonly string[];
  readonly refs?: readonly string[];
  readonly uses?: readonly string[];
  readonly leaves?: readonly string[];
  readonly trimmed?: readonly string[];
  readonly trimmedLeaves?: readonly string[];
  readonly dropped?: readonly string[];
  readonly kept?: readonly string[];
  readonly external?: true;
  readonly device?: string;
  readonly leaf?: string;
  readonly goneLeaves?: readonly string[];
  readonly newLeaves?: readonly string[];
  readonly lostLeaves?: readonly string[];
  readonly droppedUsers?: readonly { readonly user: string; readonly leaves: readonly string[] }[];
  readonly suite?: number;
  readonly lacks?: readonly string[];
  readonly checked?: true;
  readonly proven?: true;
  readonly computed?: true;
  readonly verified?: boolean;
  readonly reason?: string;
  readonly epochAuthenticator?: string;
  readonly package?: JoinRequestCommand['package'];
  readonly user?: string;
  readonly role?: string;
  readonly barred?: boolean;
  readonly policy?: PolicyPatch;
  readonly successor?: string;
}

/** A command of the direct path. */
export interface InlineOperation extends RequestJson {
  readonly kind: Command['kind'];
  readonly id: string;
  readonly actor: string;
  readonly notAfter?: number;
  readonly type?: 'proposal';
  readonly sha256?: string;
  readonly epoch?: number;
  readonly push?: MessageCommand['push'];
  readonly deleteHash?: string;
  readonly position?: string;
  readonly deferred?: true;
  readonly seq?: number;
  readonly bytes?: { readonly ciphertext?: number; readonly welcome?: number; readonly groupInfo?: number };
  readonly [small: string]: unknown;
}

/** One operation of a call of `decide()`. */
export type OperationJson = InlineOperation | StagedCommand;

/** The part of a command that no history may hold (invariant 10), as the deciding function reads it. */
export function requestJson(command: Command): RequestJson | undefined {
  switch (command.kind) {
    case 'commit':
      return commitJson(command);
    case 'group-info':
      return groupInfoJson(command);
    case 'report':
      return reportJson(command);
    case 'join-request':
      return defined({ device: command.device, package: command.package });
    case 'role':
      return { user: command.user, role: command.role };
    case 'bar':
      return { user: command.user, barred: command.barred };
    case 'policy':
      return { policy: command.policy };
    case 'reset':
      return { successor: command.successor };
    case 'message':
    case 'leave':
    case 'delete':
    case 'read':
    case 'increment':
      return undefined;
  }
}

function commitJson(command: CommitCommand): RequestJson {
  const { adds = [], removes = [], welcomeRefs, consumedRefs, usersInTree, external } = command;
  return defined({
    adds,
    removes,
    refs: welcomeRefs,
    uses: consumedRefs,
    leaves: usersInTree,
    trimmed: command.usersLosingSomeLeaves,
    trimmedLeaves: command.leavesOfOthers,
    dropped: command.usersLosingAllLeaves,
    kept: command.usersKeepingLeaves,
    external,
    goneLeaves: command.goneLeaves,
    newLeaves: command.newLeaves,
    lostLeaves: command.lostLeaves,
    droppedUsers: command.droppedUsers,
    verified: command.isVerified,
    ...checkJson(command),
  });
}

function groupInfoJson(command: GroupInfoCommand): RequestJson {
  return defined({ leaves: command.usersInTree, ...checkJson(command) });
}

function checkJson(check: GroupInfoCheck): RequestJson {
  return defined({
    suite: check.cipherSuite,
    lacks: check.lacks,
    checked: check.isGroupInfoChecked,
    proven: check.isContextProven,
    computed: check.isTreeComputed,
    device: check.device,
    leaf: check.signerLeaf,
  });
}

function reportJson({ reason, epochAuthenticator }: ReportCommand): RequestJson {
  return defined({ reason, epochAuthenticator });
}

/** A command as JSON. @param add puts bytes into the array of the call, and returns their 1-based position */
export function inlineOperation(command: Command, add: (bytes: Uint8Array) => number): InlineOperation {
  const { kind, id, actor, notAfter } = command;
  const common = { kind, id, actor, notAfter };
  switch (command.kind) {
    case 'message': {
      const { type, sha256, epoch, isVerified: verified, push, deleteHash, position, bytes } = command;
      const small = { type, sha256, epoch, verified, push, deleteHash, position };
      return defined({ ...common, ...small, bytes: indexes(bytes, add) });
    }
    case 'commit': {
      const { sha256, epoch, position, bytes, waitedForReservation: deferred } = command;
      const content = commitJson(command);
      return defined({ ...common, sha256, epoch, position, deferred, ...content, bytes: indexes(bytes, add) });
    }
    case 'leave': {
      const { sha256, epoch, isVerified: verified, position, bytes } = command;
      return defined({ ...common, sha256, epoch, verified, position, bytes: indexes(bytes, add) });
    }
    case 'join-request': {
      const { sha256, epoch, device, position, package: content, bytes } = command;
      return defined({ ...common, sha256, epoch, device, position, package: content, bytes: indexes(bytes, add) });
    }
    case 'group-info':
      return defined({
        ...common,
        epoch: command.epoch,
        ...groupInfoJson(command),
        bytes: indexes(command.bytes, add),
      });
    case 'report':
      return defined({ ...common, seq: command.seq, epoch: command.epoch, ...reportJson(command) });
    case 'read':
    case 'increment':
    case 'role':
    case 'policy':
    case 'bar':
    case 'reset':
    case 'delete':
      return { ...command };
  }
}

function indexes(
  bytes: CommandBytes | undefined,
  add: (bytes: Uint8Array) => number,
): InlineOperation['bytes'] | undefined {
  if (bytes === undefined) return undefined;
  const { ciphertext, welcome, groupInfo } = bytes;
  return defined({
    ciphertext: add(ciphertext),
    welcome: welcome === undefined ? undefined : add(welcome),
    groupInfo: groupInfo === undefined ? undefined : add(groupInfo),
  });
}

/** The same object without fields that are undefined. */
function defined<T extends object>(fields: T): { [F in keyof T]: Exclude<T[F], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [F in keyof T]: Exclude<T[F], undefined>;
  };
}
