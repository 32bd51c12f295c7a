/**
 * Parser for the MLS framing that a delivery service can read without keys (RFC 9420 §6). One strict pass reads the
 * whole message: every accepted message has exactly one encoding and no hidden extra bytes. The parser checks no
 * signatures.
 */
import type { GroupInfoFrame, WelcomeFrame } from './frame/group.ts';
import { readGroupInfo, readWelcome } from './frame/group.ts';
import type { KeyPackage } from './frame/leaf.ts';
import { readKeyPackage, readVersion } from './frame/leaf.ts';
import type { PrivateFrame, PublicFrame } from './frame/message.ts';
import { readPrivateMessage, readPublicHead, readPublicMessage } from './frame/message.ts';
import { FrameError, Reader } from './frame/reader.ts';

export { EXTERNAL_PUB_EXTENSION, parseRatchetTree, RATCHET_TREE_EXTENSION } from './frame/group.ts';
export type { GroupInfoFrame, ParentNode, WelcomeFrame } from './frame/group.ts';
export type { KeyPackage, LeafNode } from './frame/leaf.ts';
export { credentialName } from './frame/leaf.ts';
export type { PrivateFrame, PublicFrame } from './frame/message.ts';
export type { Proposal, ProposalOrRef } from './frame/proposal.ts';
export { FrameError } from './frame/reader.ts';

/** A KeyPackage (RFC 9420 §10) as an MLSMessage. */
export interface KeyPackageFrame {
  readonly wireFormat: 'key_package';
  readonly keyPackage: KeyPackage;
}

/** An MLSMessage, by wire format (RFC 9420 §6). */
export type Frame = PrivateFrame | PublicFrame | WelcomeFrame | GroupInfoFrame | KeyPackageFrame;

const PUBLIC_MESSAGE = 1;

/**
 * Parses one MLSMessage (RFC 9420 §6).
 * @returns a {@link FrameError}, not thrown, if the bytes are truncated, have trailing bytes or a length that is not
 * minimal (§2.1.2), or are not MLS 1.0
 */
export function parseFrame(bytes: Uint8Array): Frame | FrameError {
  const reader = new Reader(bytes);
  try {
    readVersion(reader);
    const frame = readBody(reader);
    reader.end();
    return frame;
  } catch (error) {
    if (error instanceof FrameError) return error;
    throw error;
  }
}

/** The first bytes of every MLSMessage: version mls10, and a wire format below 256 (RFC 9420 §6, §17.4). */
const MLS_MESSAGE = Uint8Array.of(0, 1, 0);

/** Whether the bytes begin as an MLSMessage does, also one of a wire format that this service does not know. */
export function beginsAsMlsMessage(bytes: Uint8Array): boolean {
  return MLS_MESSAGE.every((byte, i) => bytes[i] === byte);
}

/** Whose commit a PublicMessage is, from its head alone. `undefined` = it is none, or its head is malformed. */
export function groupOfPublicCommit(bytes: Uint8Array): Uint8Array | undefined {
  const head = publicHead(bytes);
  return head?.contentType === 'commit' ? head.groupId : undefined;
}

/** The sender of a PublicMessage, from its head alone. `undefined` = it is none, or its head is malformed. */
export function senderOfPublicMessage(bytes: Uint8Array): PublicFrame['sender']['type'] | undefined {
  return publicHead(bytes)?.sender.type;
}

function publicHead(bytes: Uint8Array): ReturnType<typeof readPublicHead> | undefined {
  const reader = new Reader(bytes);
  try {
    readVersion(reader);
    return reader.u16() === PUBLIC_MESSAGE ? readPublicHead(reader) : undefined;
  } catch (error) {
    if (error instanceof FrameError) return undefined;
    throw error;
  }
}

function readBody(reader: Reader): Frame {
  switch (reader.u16()) {
    case PUBLIC_MESSAGE:
      return readPublicMessage(reader);
    case 2:
      return readPrivateMessage(reader);
    case 3:
      return readWelcome(reader);
    case 4:
      return readGroupInfo(reader);
    case 5:
      return { wireFormat: 'key_package', keyPackage: readKeyPackage(reader) };
    default:
      return reader.fail('unknown wire format');
  }
}
