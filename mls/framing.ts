import { AppError } from '../domain/errors.ts';
import {
  type Frame,
  FrameError,
  type GroupInfoFrame,
  type PrivateFrame,
  type PublicFrame,
  type WelcomeFrame,
  beginsAsMlsMessage,
  groupOfPublicCommit,
  parseFrame,
} from './frame.ts';
import { MAX_SAFE_EPOCH } from '../domain/limits.ts';
import type { Group } from './group.ts';

/**
 * Epoch and type of a message or commit, read from its bytes. `opaque` conversations: only the epoch that the client
 * states.
 */
export interface Framing {
  readonly epoch?: number;
  readonly type?: 'proposal';
}

/** A proposal in a PublicMessage: the service can read its sender and its content. */
export type PublicProposal = PublicFrame & { readonly contentType: 'proposal' };

/** An application message or proposal after its checks. */
export interface CheckedMessage {
  readonly framing: Framing;
  readonly proposal?: PublicProposal;
}

/** A commit as a PrivateMessage or PublicMessage. */
export type CommitFrame = (PrivateFrame | PublicFrame) & { readonly contentType: 'commit' };

/** A GroupInfo of this conversation, with an epoch that fits in a JSON number. */
export type CheckedGroupInfo = GroupInfoFrame & { readonly epoch: number };

const SEND_COMMITS_THERE = 'Send a commit to the commits route of the conversation';
const LEAVE_BY_PROPOSAL = 'To leave, send a proposal';

/** Start of the FrameError message for application data that is not encrypted; it gets its own problem code. */
const NOT_PRIVATE = 'application data in a PublicMessage';

/**
 * Checks the framing of an application message or proposal.
 * @param stated the epoch that the request names, if any
 * @throws AppError `malformed`, `wrong-group`, `wrong-content-type`, or `epoch-ahead` (the caller adds the current
 * epoch)
 */
export function checkMessage(group: Group, bytes: Buffer, stated: number | undefined): CheckedMessage {
  if (group.protocol === 'opaque') return { framing: checkStated(stated) };
  refuseCommit(group, bytes, SEND_COMMITS_THERE);
  const frame = contentFrame(group, bytes, 'A message');
  if (frame.contentType === 'commit') throw new AppError('wrong-content-type', SEND_COMMITS_THERE);
  const epoch = checkEpoch(frame, bytes, stated);
  if (frame.contentType === 'application') return { framing: { epoch } };
  return { framing: { epoch, type: 'proposal' }, ...publicProposal(frame) };
}

/**
 * Checks the framing of a leave proposal: the sender proposes to remove its own leaf.
 * @throws AppError as {@link checkMessage}
 */
export function checkLeaving(group: Group, bytes: Buffer, stated: number | undefined): CheckedMessage {
  if (group.protocol === 'opaque') return { framing: checkStated(stated) };
  refuseCommit(group, bytes, LEAVE_BY_PROPOSAL);
  const frame = contentFrame(group, bytes, 'The proposal');
  if (frame.contentType !== 'proposal') throw new AppError('wrong-content-type', LEAVE_BY_PROPOSAL);
  const checked = { framing: { epoch: checkEpoch(frame, bytes, stated) }, ...publicProposal(frame) };
  if (checked.proposal !== undefined && !removesItself(checked.proposal)) {
    throw new AppError('malformed', 'To leave, send a proposal that removes your own leaf');
  }
  return checked;
}

/**
 * Checks that a signal is no MLSMessage: each application message takes a generation of its sender's keys, and a device that missed
 * some hundreds cannot read the next one.
 * @throws AppError `wrong-content-type`
 */
export function checkSignal(group: Pick<Group, 'protocol'>, bytes: Uint8Array): void {
  if (group.protocol === 'opaque' || !beginsAsMlsMessage(bytes)) return;
  throw new AppError('wrong-content-type', 'A signal is no MLSMessage: seal it with a key from the MLS exporter');
}

/** Checks the framing of a commit. @throws AppError as {@link checkMessage} */
export function checkCommit(
  group: Group,
  bytes: Buffer,
  stated: number | undefined,
): { readonly framing: Framing; readonly frame?: CommitFrame } {
  if (group.protocol === 'opaque') return { framing: checkStated(stated) };
  const frame = contentFrame(group, bytes, 'The commit');
  if (!isCommit(frame)) throw new AppError('wrong-content-type', 'This route accepts only commits');
  return { framing: { epoch: checkEpoch(frame, bytes, stated) }, frame };
}

/**
 * Parses the Welcome of a commit.
 * @returns `undefined` in `opaque` conversations
 * @throws AppError `malformed`, `welcome-mismatch`
 */
export function parseWelcome(group: Group, bytes: Buffer): WelcomeFrame | undefined {
  if (group.protocol === 'opaque') return undefined;
  const frame = parse(bytes, 'The Welcome');
  if (frame.wireFormat !== 'welcome')
    throw new AppError('welcome-mismatch', 'The welcome field does not contain a Welcome');
  if (frame.newMembers.length === 0) throw new AppError('welcome-mismatch', 'The Welcome names no new member');
  return frame;
}

/**
 * Parses a GroupInfo of this group.
 * @returns `undefined` in `opaque` conversations
 * @throws AppError `malformed`, `wrong-group`, `group-info-mismatch`, or `epoch-ahead` (the caller adds the current
 * epoch)
 */
export function parseGroupInfo(group: Group, bytes: Buffer): CheckedGroupInfo | undefined {
  if (group.protocol === 'opaque') return undefined;
  const frame = parse(bytes, 'The GroupInfo');
  if (frame.wireFormat !== 'group_info') {
    throw new AppError('group-info-mismatch', 'The groupInfo field does not contain a GroupInfo');
  }
  if (!group.groupId.equals(frame.groupId)) throw new AppError('wrong-group', 'The GroupInfo belongs to another group');
  return { ...frame, epoch: checkEpoch(frame, bytes, undefined) };
}

function parse(bytes: Buffer, what: string): Frame {
  const frame = parseFrame(bytes);
  if (!(frame instanceof FrameError)) return frame;
  if (frame.message.startsWith(NOT_PRIVATE)) throw new AppError('wrong-content-type', frame.message);
  throw new AppError('malformed', `${what} is not a valid MLSMessage: ${frame.message}`);
}

function contentFrame(group: Group, bytes: Buffer, what: string): PrivateFrame | PublicFrame {
  const frame = parse(bytes, what);
  if (frame.wireFormat !== 'private_message' && frame.wireFormat !== 'public_message') {
    throw new AppError('wrong-content-type', `${what} is a ${frame.wireFormat}`);
  }
  if (!group.groupId.equals(frame.groupId)) throw new AppError('wrong-group');
  return frame;
}

/**
 * Refuses a public commit by its head. Its content can have thousands of parts, which only jobs parse; a proposal has
 * few.
 */
function refuseCommit({ groupId }: Group, bytes: Buffer, detail: string): void {
  const named = groupOfPublicCommit(bytes);
  if (named === undefined) return;
  throw groupId.equals(named) ? new AppError('wrong-content-type', detail) : new AppError('wrong-group');
}

function publicProposal(frame: PrivateFrame | PublicFrame): { readonly proposal?: PublicProposal } {
  return frame.wireFormat === 'public_message' && frame.contentType === 'proposal' ? { proposal: frame } : {};
}

function removesItself({ sender, proposal }: PublicProposal): boolean {
  if (sender.type !== 'member') return false;
  return proposal.type === 'self_remove' || (proposal.type === 'remove' && proposal.removed === sender.leafIndex);
}

function isCommit(frame: PrivateFrame | PublicFrame): frame is CommitFrame {
  return frame.contentType === 'commit';
}

function checkEpoch(
  frame: PrivateFrame | PublicFrame | GroupInfoFrame,
  bytes: Buffer,
  stated: number | undefined,
): number {
  if (frame.epoch === 'beyond') {
    throw new AppError('epoch-ahead', undefined, { submittedEpoch: rawEpoch(frame, bytes) });
  }
  if (stated !== undefined && stated !== frame.epoch) {
    throw new AppError(
      'malformed',
      `The request states epoch ${stated}, but the MLS message is for epoch ${frame.epoch}`,
    );
  }
  return frame.epoch;
}

function checkStated(epoch: number | undefined): Framing {
  if (epoch === undefined) return {};
  if (epoch > MAX_SAFE_EPOCH) throw new AppError('epoch-ahead', undefined, { submittedEpoch: epoch });
  return { epoch };
}

/** An epoch above 2^53 - 1, rounded to a JSON number. It is in the eight bytes after the group id (RFC 9420 §6). */
function rawEpoch(frame: PrivateFrame | PublicFrame | GroupInfoFrame, bytes: Buffer): number {
  const offset = frame.groupId.byteOffset - bytes.byteOffset + frame.groupId.length;
  return Number(bytes.readBigUInt64BE(offset));
}
