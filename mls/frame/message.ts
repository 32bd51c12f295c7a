import { MAX_PATH_NODES, MAX_TREE_LEAVES } from '../../domain/limits.ts';
import type { LeafNode } from './leaf.ts';
import { readLeafNode } from './leaf.ts';
import type { Proposal, ProposalOrRef } from './proposal.ts';
import { readProposal, readProposalOrRef } from './proposal.ts';
import type { Epoch, Reader } from './reader.ts';

export type ContentType = 'application' | 'proposal' | 'commit';

/** The sender of a PublicMessage (RFC 9420 §6). */
export type Sender =
  | { readonly type: 'member'; readonly leafIndex: number }
  | { readonly type: 'external'; readonly senderIndex: number }
  | { readonly type: 'new_member_proposal' | 'new_member_commit' };

/** A PrivateMessage (RFC 9420 §6.3). */
export interface PrivateFrame {
  readonly wireFormat: 'private_message';
  readonly groupId: Uint8Array;
  readonly epoch: Epoch;
  readonly contentType: ContentType;
  readonly authenticatedData: Uint8Array;
}

interface PublicFrameBase {
  readonly wireFormat: 'public_message';
  readonly groupId: Uint8Array;
  readonly epoch: Epoch;
  readonly sender: Sender;
  readonly authenticatedData: Uint8Array;
  /** The signed bytes (FramedContentTBS, §6.1), without the GroupContext that follows for members and joiners. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** The bytes from the wire format to the signature. The confirmed transcript hash covers those of a commit (§8.2). */
  readonly transcript: Uint8Array;
}

/** A PublicMessage (RFC 9420 §6.2) with a proposal (§12.1). */
export interface PublicProposalFrame extends PublicFrameBase {
  readonly contentType: 'proposal';
  readonly proposal: Proposal;
}

/** A PublicMessage (RFC 9420 §6.2) with a commit (§12.4). */
export interface PublicCommitFrame extends PublicFrameBase {
  readonly contentType: 'commit';
  readonly proposals: readonly ProposalOrRef[];
  /** The committer's new leaf. Absent = the commit has no UpdatePath. */
  readonly path: LeafNode | undefined;
  /** Public keys of the UpdatePath for the parents above the leaf, from the leaf to the root (§7.6). */
  readonly pathKeys: readonly Uint8Array[];
  /** Equal to the confirmation tag in the GroupInfo of the next epoch. */
  readonly confirmationTag: Uint8Array;
}

export type PublicFrame = PublicProposalFrame | PublicCommitFrame;

const skipCiphertext = (reader: Reader): void => {
  reader.skipVector(); // KEM output
  reader.skipVector(); // ciphertext
};

const readPathNode = (reader: Reader): Uint8Array => {
  const encryptionKey = reader.vector();
  reader.each(skipCiphertext, MAX_TREE_LEAVES);
  return encryptionKey;
};

const readUpdatePath = (reader: Reader): { readonly leaf: LeafNode; readonly keys: readonly Uint8Array[] } => ({
  leaf: readLeafNode(reader, 'commit'),
  keys: reader.list(readPathNode, MAX_PATH_NODES),
});

/** Bytes of the ProtocolVersion in front of each MLSMessage. */
const VERSION_BYTES = 2;

/** Reads the header of a PrivateMessage (RFC 9420 §6.3). Its content is encrypted. */
export function readPrivateMessage(reader: Reader): PrivateFrame {
  const groupId = reader.vector();
  const epoch = reader.epoch();
  const contentType = readContentType(reader);
  const authenticatedData = reader.vector();
  reader.skipVector(); // encrypted sender data
  reader.skipVector(); // ciphertext
  return { wireFormat: 'private_message', groupId, epoch, contentType, authenticatedData };
}

/** Reads the head of a PublicMessage (RFC 9420 §6.2) up to its content type. */
export function readPublicHead(reader: Reader): Pick<
  PublicFrame,
  'groupId' | 'epoch' | 'sender' | 'authenticatedData'
> & {
  readonly contentType: ContentType;
} {
  const groupId = reader.vector();
  const epoch = reader.epoch();
  const sender = readSender(reader);
  const authenticatedData = reader.vector();
  return { groupId, epoch, sender, authenticatedData, contentType: readContentType(reader) };
}

/** Reads a PublicMessage (RFC 9420 §6.2). Its length is not stated, so the content must be read to find the end. */
export function readPublicMessage(reader: Reader): PublicFrame {
  const { groupId, epoch, sender, authenticatedData, contentType } = readPublicHead(reader);
  const wireFormat = 'public_message';
  // Application data must be in a PrivateMessage (RFC 9420 §6).
  if (contentType === 'application') reader.fail('application data in a PublicMessage');
  // Outsiders may only send proposals. The exception is the external commit, which joins them (RFC 9420 §12.1.8,
  // §12.4.3.2).
  const joins = sender.type === 'new_member_commit';
  if (sender.type !== 'member' && joins !== (contentType === 'commit')) reader.fail('sender does not fit the content');
  if (contentType === 'proposal') {
    const proposal = readProposal(reader);
    if (sender.type === 'new_member_proposal' && proposal.type !== 'add') {
      reader.fail('sender does not fit the proposal');
    }
    const auth = readSignature(reader);
    skipMembershipTag(reader, sender);
    return { wireFormat, groupId, epoch, sender, authenticatedData, contentType, proposal, ...auth };
  }
  const proposals = reader.list(readProposalOrRef);
  const path = reader.optional(readUpdatePath);
  const auth = readSignature(reader);
  const confirmationTag = reader.vector();
  skipMembershipTag(reader, sender);
  const header = { wireFormat, groupId, epoch, sender, authenticatedData, contentType } as const;
  return { ...header, proposals, path: path?.leaf, pathKeys: path?.keys ?? [], confirmationTag, ...auth };
}

/** Reads the signature after the content. The message begins at the first byte of the input. */
function readSignature(reader: Reader): Pick<PublicFrameBase, 'signed' | 'signature' | 'transcript'> {
  const signed = reader.since(0);
  const signature = reader.vector();
  return { signed, signature, transcript: reader.since(0).subarray(VERSION_BYTES) };
}

function skipMembershipTag(reader: Reader, sender: Sender): void {
  if (sender.type === 'member') reader.skipVector();
}

function readSender(reader: Reader): Sender {
  switch (reader.u8()) {
    case 1:
      return { type: 'member', leafIndex: reader.u32() };
    case 2:
      return { type: 'external', senderIndex: reader.u32() };
    case 3:
      return { type: 'new_member_proposal' };
    case 4:
      return { type: 'new_member_commit' };
    default:
      return reader.fail('unknown sender type');
  }
}

function readContentType(reader: Reader): ContentType {
  switch (reader.u8()) {
    case 1:
      return 'application';
    case 2:
      return 'proposal';
    case 3:
      return 'commit';
    default:
      return reader.fail('unknown content type');
  }
}
