import type { KeyPackage, LeafNode } from './leaf.ts';
import { skipExtensions, readKeyPackage, readLeafNode } from './leaf.ts';
import type { Reader } from './reader.ts';

/** A proposal (RFC 9420 §12.1, and SelfRemove of the MLS extensions draft), with the fields that the service needs. */
export type Proposal =
  | { readonly type: 'add'; readonly keyPackage: KeyPackage }
  | { readonly type: 'update'; readonly leaf: LeafNode }
  | { readonly type: 'remove'; readonly removed: number }
  | { readonly type: 'psk' | 'reinit' | 'external_init' }
  /** `removed`: the leaf of its sender, where that is known. */
  | { readonly type: 'self_remove'; readonly removed?: number }
  /** `extensions`: the new list, encoded as in the GroupContext. */
  | { readonly type: 'group_context_extensions'; readonly extensions: Uint8Array }
  | { readonly type: 'custom'; readonly proposalType: number };

/** Part of a commit (RFC 9420 §12.4): a full proposal, or the hash of a proposal that was sent before. */
export type ProposalOrRef = Proposal | { readonly type: 'reference'; readonly reference: Uint8Array };

/** Reads a Proposal (RFC 9420 §12.1). */
export function readProposal(reader: Reader): Proposal {
  const proposalType = reader.u16();
  switch (proposalType) {
    case 1:
      return { type: 'add', keyPackage: readKeyPackage(reader) };
    case 2:
      return { type: 'update', leaf: readLeafNode(reader, 'update') };
    case 3:
      return { type: 'remove', removed: reader.u32() };
    case 4:
      skipPreSharedKeyId(reader);
      return { type: 'psk' };
    case 5:
      reader.skipVector(); // group id
      reader.u16(); // version: a re-init may choose a later version
      reader.u16(); // cipher suite
      skipExtensions(reader);
      return { type: 'reinit' };
    case 6:
      reader.skipVector(); // KEM output
      return { type: 'external_init' };
    case 7: {
      const start = reader.offset;
      skipExtensions(reader);
      return { type: 'group_context_extensions', extensions: reader.since(start) };
    }
    // SelfRemove of the MLS extensions draft; mls-rs up to 0.57 writes it with a number of its own. It has no content.
    case 0x000a:
    case 0xf003:
      return { type: 'self_remove' };
    default:
      // RFC 9420 does not define the form of custom proposals. Existing implementations use one vector.
      reader.skipVector();
      return { type: 'custom', proposalType };
  }
}

/** Reads a ProposalOrRef (RFC 9420 §12.4). */
export function readProposalOrRef(reader: Reader): ProposalOrRef {
  const kind = reader.u8();
  if (kind === 1) return readProposal(reader);
  if (kind === 2) return { type: 'reference', reference: reader.vector() };
  return reader.fail('neither proposal nor reference');
}

/** Skips a PreSharedKeyID (RFC 9420 §8.4). */
function skipPreSharedKeyId(reader: Reader): void {
  const type = reader.u8();
  if (type === 2) {
    const usage = reader.u8();
    if (usage < 1 || usage > 3) reader.fail('unknown resumption PSK usage');
    reader.skipVector(); // group id
    reader.epoch();
  } else if (type === 1) {
    reader.skipVector(); // id
  } else {
    reader.fail('unknown PSK type');
  }
  reader.skipVector(); // nonce
}
