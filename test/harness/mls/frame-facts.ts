import type { KeyPackage as MlsKeyPackage, LeafNode as MlsLeafNode, MLSMessage, Proposal as MlsProposal } from 'ts-mls';
import { ciphersuites, decodeMlsMessage, defaultExtensionTypes } from 'ts-mls';
import type { Frame, KeyPackage, LeafNode, Proposal, ProposalOrRef } from '../../../mls/frame.ts';

/** The fields that both parsers return, in one shape. Tests compare them. */
type Facts = Record<string, unknown>;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const epochOf = (epoch: bigint): number | string => (epoch < 2n ** 53n ? Number(epoch) : 'beyond');
const suites: Readonly<Record<string, number>> = ciphersuites;
// ts-mls returns an unknown cipher suite as its number in a string.
const suiteOf = (name: string): number => suites[name] ?? Number(name);
const extensionTypeOf = (type: number | keyof typeof defaultExtensionTypes): number =>
  typeof type === 'number' ? type : defaultExtensionTypes[type];

/** Parses all bytes with ts-mls. `undefined` = ts-mls cannot parse them; it throws on unknown enum values. */
export function decodeWhole(bytes: Uint8Array): MLSMessage | undefined {
  try {
    const decoded = decodeMlsMessage(bytes, 0);
    return decoded?.[1] === bytes.length ? decoded[0] : undefined;
  } catch {
    return undefined;
  }
}

/** The facts from the result of ts-mls. */
export function facts(message: MLSMessage): Facts {
  switch (message.wireformat) {
    case 'mls_private_message': {
      const { groupId, epoch, contentType, authenticatedData } = message.privateMessage;
      return { groupId: hex(groupId), epoch: epochOf(epoch), contentType, aad: hex(authenticatedData) };
    }
    case 'mls_public_message': {
      const { content, auth } = message.publicMessage;
      const { groupId, epoch, authenticatedData, sender, contentType } = content;
      const base = { groupId: hex(groupId), epoch: epochOf(epoch), contentType, aad: hex(authenticatedData) };
      const index =
        sender.senderType === 'member' ? sender.leafIndex : 'senderIndex' in sender ? sender.senderIndex : null;
      const sent = { ...base, sender: sender.senderType, index };
      if (content.contentType === 'proposal') return { ...sent, proposal: proposalFacts(content.proposal) };
      if (content.contentType !== 'commit' || auth.contentType !== 'commit') return sent;
      const proposals = content.commit.proposals.map((p) =>
        p.proposalOrRefType === 'reference' ? { reference: hex(p.reference) } : proposalFacts(p.proposal),
      );
      const path = content.commit.path === undefined ? null : leafFacts(content.commit.path.leafNode);
      return { ...sent, proposals, path, tag: hex(auth.confirmationTag) };
    }
    case 'mls_welcome': {
      const { cipherSuite, secrets } = message.welcome;
      return { suite: suiteOf(cipherSuite), newMembers: secrets.map((s) => hex(s.newMember)) };
    }
    case 'mls_group_info': {
      const { groupContext, extensions, confirmationTag, signer, signature } = message.groupInfo;
      const { groupId, epoch, cipherSuite } = groupContext;
      const known = extensions.map((e) => [extensionTypeOf(e.extensionType), hex(e.extensionData)]);
      const base = { groupId: hex(groupId), epoch: epochOf(epoch), suite: suiteOf(cipherSuite), extensions: known };
      return { ...base, tag: hex(confirmationTag), signer, signature: hex(signature) };
    }
    case 'mls_key_package':
      return keyPackageFacts(message.keyPackage);
  }
}

function keyPackageFacts(kp: MlsKeyPackage): Facts {
  const extensions = kp.extensions.map((e) => extensionTypeOf(e.extensionType));
  const keys = { suite: suiteOf(kp.cipherSuite), initKey: hex(kp.initKey), signature: hex(kp.signature) };
  return { ...keys, leaf: leafFacts(kp.leafNode), extensions };
}

function leafFacts(leaf: MlsLeafNode): Facts {
  const identity = leaf.credential.credentialType === 'basic' ? hex(leaf.credential.identity) : null;
  const notAfter = leaf.leafNodeSource === 'key_package' ? Number(leaf.lifetime.notAfter) : null;
  const keys = { key: hex(leaf.hpkePublicKey), signatureKey: hex(leaf.signaturePublicKey) };
  return { ...keys, identity, source: leaf.leafNodeSource, notAfter, signature: hex(leaf.signature) };
}

function proposalFacts(proposal: MlsProposal): Facts {
  if ('proposalData' in proposal) return { type: 'custom', proposalType: proposal.proposalType };
  const type = proposal.proposalType;
  if (type === 'add') return { type, ...keyPackageFacts(proposal.add.keyPackage) };
  if (type === 'update') return { type, ...leafFacts(proposal.update.leafNode) };
  return type === 'remove' ? { type, removed: proposal.remove.removed } : { type };
}

/** The same facts from the result of this project's parser. */
export function frameFacts(frame: Frame): Facts {
  switch (frame.wireFormat) {
    case 'private_message':
      return {
        groupId: hex(frame.groupId),
        epoch: frame.epoch,
        contentType: frame.contentType,
        aad: hex(frame.authenticatedData),
      };
    case 'public_message': {
      const { sender, epoch, contentType } = frame;
      const base = { groupId: hex(frame.groupId), epoch, contentType, aad: hex(frame.authenticatedData) };
      const index = 'leafIndex' in sender ? sender.leafIndex : 'senderIndex' in sender ? sender.senderIndex : null;
      const sent = { ...base, sender: sender.type, index };
      if (contentType === 'proposal') return { ...sent, proposal: ownProposalFacts(frame.proposal) };
      const path = frame.path === undefined ? null : ownLeafFacts(frame.path);
      return { ...sent, proposals: frame.proposals.map(ownProposalFacts), path, tag: hex(frame.confirmationTag) };
    }
    case 'welcome':
      return { suite: frame.cipherSuite, newMembers: frame.newMembers.map(hex) };
    case 'group_info': {
      const extensions = frame.extensions.map((e) => [e.type, hex(e.data)]);
      const base = { groupId: hex(frame.groupId), epoch: frame.epoch, suite: frame.cipherSuite, extensions };
      return { ...base, tag: hex(frame.confirmationTag), signer: frame.signer, signature: hex(frame.signature) };
    }
    case 'key_package':
      return ownKeyPackageFacts(frame.keyPackage);
  }
}

function ownKeyPackageFacts(kp: KeyPackage): Facts {
  const keys = { suite: kp.cipherSuite, initKey: hex(kp.initKey), signature: hex(kp.signature) };
  return { ...keys, leaf: ownLeafFacts(kp.leaf), extensions: kp.extensionTypes };
}

function ownLeafFacts(leaf: LeafNode): Facts {
  const identity = leaf.identity === undefined ? null : hex(leaf.identity);
  const keys = { key: hex(leaf.encryptionKey), signatureKey: hex(leaf.signatureKey) };
  const notAfter = leaf.lifetime?.notAfter ?? null;
  return { ...keys, identity, source: leaf.source, notAfter, signature: hex(leaf.signature) };
}

function ownProposalFacts(proposal: ProposalOrRef | Proposal): Facts {
  if (proposal.type === 'reference') return { reference: hex(proposal.reference) };
  if (proposal.type === 'add') return { type: proposal.type, ...ownKeyPackageFacts(proposal.keyPackage) };
  if (proposal.type === 'update') return { type: proposal.type, ...ownLeafFacts(proposal.leaf) };
  if (proposal.type === 'group_context_extensions') return { type: proposal.type };
  return proposal;
}
