import type { CiphersuiteImpl, ClientState, Credential, GroupInfo, LeafNode, Proposal } from 'ts-mls';
import { createCommit, createProposal, joinGroupExternal } from 'ts-mls';
import { defaultClientConfig } from 'ts-mls/clientConfig.js';
import { encode } from 'ts-mls/codec/tlsEncoder.js';
import { signWithLabel } from 'ts-mls/crypto/signature.js';
import { leafNodeTBSEncoder } from 'ts-mls/leafNode.js';
import { protectExternalProposalPublic } from 'ts-mls/messageProtectionPublic.js';
import { toBase64 } from '../../client/index.ts';
import type { DeviceIdentity } from '../../client/testing.ts';
import {
  decodeMessage,
  encodeMessage,
  groupInfoOf,
  joiningSuite,
  leavesOf,
  makeKeyPackage,
} from '../../client/testing.ts';

/** MLS messages that the client library never makes, and that a device must handle all the same. */

export interface CraftedCommit {
  readonly commit: string;
  readonly groupInfo: string;
}

/** A proposal of a member, for the log. */
export async function craftProposal(state: ClientState, proposal: Proposal, suite: CiphersuiteImpl): Promise<string> {
  const { message } = await createProposal({ ...state, unappliedProposals: {} }, false, proposal, suite);
  return encodeMessage(message);
}

/** An Update proposal (RFC 9420 §12.1.2): fresh keys for the own leaf, which somebody else commits. */
export async function craftUpdate(state: ClientState, suite: CiphersuiteImpl): Promise<string> {
  return craftProposal(state, await craftUpdateProposal(state, suite), suite);
}

/** The same, not framed yet. */
export async function craftUpdateProposal(state: ClientState, suite: CiphersuiteImpl): Promise<Proposal> {
  const { leafIndex } = state.privatePath;
  const own = leavesOf(state.ratchetTree).get(leafIndex);
  if (own === undefined) throw new Error('no leaf');
  const { hpkePublicKey: _old, leafNodeSource: _source, signature: _signature, ...rest } = own;
  const keys = await suite.hpke.generateKeyPair();
  const hpkePublicKey = await suite.hpke.exportPublicKey(keys.publicKey);
  const { signaturePublicKey, credential, capabilities, extensions } = rest;
  const leaf = { hpkePublicKey, signaturePublicKey, credential, capabilities, extensions };
  const toSign = { ...leaf, leafNodeSource: 'update' as const, groupId: state.groupContext.groupId, leafIndex };
  const content = encode(leafNodeTBSEncoder)(toSign);
  const signature = await signWithLabel(state.signaturePrivateKey, 'LeafNodeTBS', content, suite.signature);
  const leafNode = { ...leaf, leafNodeSource: 'update' as const, signature };
  return { proposalType: 'update', update: { leafNode } };
}

/** A commit whose path gives the committer's own leaf another credential, and its GroupInfo. */
export async function craftRelabelling(
  state: ClientState,
  credential: Credential,
  suite: CiphersuiteImpl,
): Promise<CraftedCommit> {
  const index = state.privatePath.leafIndex * 2;
  const ratchetTree = state.ratchetTree.map((node, i) =>
    i === index && node?.nodeType === 'leaf' ? { ...node, leaf: { ...node.leaf, credential } } : node,
  );
  const { commit, newState } = await createCommit({ state: { ...state, ratchetTree }, cipherSuite: suite });
  return { commit: encodeMessage(commit), groupInfo: await groupInfoOf(newState, suite) };
}

/** A private commit whose content is noise, with a GroupInfo that the service has no reason to doubt. */
export async function craftUnreadable(state: ClientState, suite: CiphersuiteImpl): Promise<CraftedCommit> {
  const { commit, newState } = await createCommit({ state, cipherSuite: suite });
  if (commit.wireformat !== 'mls_private_message') throw new Error('no private commit');
  const { privateMessage } = commit;
  const noise = crypto.getRandomValues(new Uint8Array(privateMessage.ciphertext.length));
  const bad = { ...commit, privateMessage: { ...privateMessage, ciphertext: noise } };
  return { commit: encodeMessage(bad), groupInfo: await groupInfoOf(newState, suite) };
}

/** An external commit that removes the leaf of `victim`, whose key the joiner does not have, and its GroupInfo. */
export async function craftExternalRemoval(
  groupInfo: GroupInfo,
  joiner: DeviceIdentity,
  victim: Uint8Array,
  suite: CiphersuiteImpl,
): Promise<CraftedCommit> {
  const { publicPackage, privatePackage } = await makeKeyPackage(joiner, suite);
  const config = {
    ...defaultClientConfig,
    keyPackageEqualityConfig: {
      ...defaultClientConfig.keyPackageEqualityConfig,
      compareKeyPackageToLeafNode: (_own: unknown, leaf: LeafNode) =>
        toBase64(leaf.signaturePublicKey) === toBase64(victim),
    },
  };
  const { publicMessage, newState } = await joinGroupExternal(
    groupInfo,
    publicPackage,
    privatePackage,
    true,
    joiningSuite(suite, groupInfo),
    undefined,
    config,
  );
  const commit = encodeMessage({ wireformat: 'mls_public_message', publicMessage });
  return { commit, groupInfo: await groupInfoOf(newState, suite) };
}

/** An Add proposal for a claimed key package, base64. */
export function craftAdd(keyPackage: string): Proposal {
  const message = decodeMessage(keyPackage);
  if (message.wireformat !== 'mls_key_package') throw new Error('not a KeyPackage');
  return { proposalType: 'add', add: { keyPackage: message.keyPackage } };
}

/** A new_member_proposal (RFC 9420 §12.1.8) for this epoch of a group. */
export async function craftJoinRequest(
  groupInfo: string,
  keyPackage: string,
  signKey: Uint8Array,
  suite: CiphersuiteImpl,
): Promise<string> {
  const message = decodeMessage(groupInfo);
  if (message.wireformat !== 'mls_group_info') throw new Error('not a GroupInfo');
  const { groupContext } = message.groupInfo;
  const { publicMessage } = await protectExternalProposalPublic(
    ...([signKey, groupContext, new Uint8Array(), craftAdd(keyPackage)] as const),
    ...([{ senderType: 'new_member_proposal' }, suite] as const),
  );
  return encodeMessage({ wireformat: 'mls_public_message', publicMessage });
}
