import type { ClientState, GroupInfo, MLSMessage } from 'ts-mls';
import { signFramedContentTBS, toTbs } from 'ts-mls/framedContent.js';
import { signLeafNodeCommit } from 'ts-mls/leafNode.js';
import { type RatchetTree, encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { treeHashRoot } from 'ts-mls/treeHash.js';
import type { CommitBundleInput } from '../../../mls/commit-bundle.ts';
import type { StoredGroup } from '../../../mls/stored-group.ts';
import { type Bundle, SUITE, groupInfoOf, resigned, wire } from './group.ts';

/**
 * Public commits and GroupInfos with one lie, all else in them right and signed again. Nothing here calls the code of the
 * service, so that it may run before the tests: mutation testing then knows which test reaches which line.
 */

type PublicContent = Extract<MLSMessage, { wireformat: 'mls_public_message' }>['publicMessage']['content'];
export type CommitContent = Extract<PublicContent, { contentType: 'commit' }>['commit'];
export type UnsignedInfo = Omit<GroupInfo, 'signature'>;

/** The bytes of base64. */
export function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'base64');
}

/** The same bytes with one bit turned. @param fromEnd 1 = in the last byte */
export function turned(text: string, fromEnd: number): string {
  const bytes = bytesOf(text);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - fromEnd) ^ 1, bytes.length - fromEnd);
  return bytes.toString('base64');
}

/** The commit with other content, under its old signature. */
export function altered(message: MLSMessage, change: (content: CommitContent) => CommitContent): string {
  const { publicMessage, content } = publicCommitOf(message);
  const changed = { ...publicMessage, content: { ...content, commit: change(content.commit) } };
  return wire({ wireformat: 'mls_public_message', publicMessage: changed as typeof publicMessage });
}

/**
 * The commit with other content. @param before state of the group that it is for @param signer whose key signs it
 */
export async function alteredAndSigned(
  message: MLSMessage,
  before: Pick<ClientState, 'groupContext'>,
  signer: ClientState,
  change: (content: CommitContent) => CommitContent | Promise<CommitContent>,
): Promise<string> {
  const { publicMessage, content } = publicCommitOf(message);
  const changed = { ...content, commit: await change(content.commit) };
  const tbs = toTbs(changed, 'mls_public_message', before.groupContext);
  const signature = await signFramedContentTBS(signer.signaturePrivateKey, tbs, SUITE.signature);
  const auth = { ...publicMessage.auth, signature };
  const signed = { ...publicMessage, content: changed, auth } as typeof publicMessage;
  return wire({ wireformat: 'mls_public_message', publicMessage: signed });
}

/** The path with another parent hash in its leaf, which its owner signs again. */
export async function withParentHash(
  content: CommitContent,
  parentHash: Uint8Array,
  signer: ClientState,
): Promise<CommitContent> {
  const { path } = content;
  if (path === undefined) throw new Error('the commit has a path');
  const { groupId } = signer.groupContext;
  const { leafIndex } = signer.privatePath;
  const tbs = { ...path.leafNode, leafNodeSource: 'commit' as const, parentHash, groupId, leafIndex };
  const leafNode = await signLeafNodeCommit(tbs, signer.signaturePrivateKey, SUITE.signature);
  return { ...content, path: { ...path, leafNode } };
}

function publicCommitOf(message: MLSMessage): {
  readonly publicMessage: Extract<MLSMessage, { wireformat: 'mls_public_message' }>['publicMessage'];
  readonly content: Extract<PublicContent, { contentType: 'commit' }>;
} {
  if (message.wireformat !== 'mls_public_message') throw new Error('not public');
  const { publicMessage } = message;
  if (publicMessage.content.contentType !== 'commit') throw new Error('not a commit');
  return { publicMessage, content: publicMessage.content };
}

/** A GroupInfo of a state with one change, signed again. */
export async function infoWith(
  state: ClientState,
  change: (info: UnsignedInfo) => UnsignedInfo | Promise<UnsignedInfo>,
): Promise<string> {
  const { signature: _signature, ...info } = await groupInfoOf(state);
  return resigned(state, await change(info));
}

export function withContext(info: UnsignedInfo, context: Partial<GroupInfo['groupContext']>): UnsignedInfo {
  return { ...info, groupContext: { ...info.groupContext, ...context } };
}

/** The GroupInfo with these extensions of one type in the place of its own. */
export function withExtensions(
  info: UnsignedInfo,
  extensionType: 'external_pub' | 'ratchet_tree',
  ...data: readonly Uint8Array[]
): UnsignedInfo {
  const others = info.extensions.filter((one) => one.extensionType !== extensionType);
  const own = data.map((extensionData) => ({ extensionType, extensionData }));
  return { ...info, extensions: [...others, ...own] };
}

/** The GroupInfo with another tree, and its tree hash. */
export async function withWholeTree(info: UnsignedInfo, tree: RatchetTree): Promise<UnsignedInfo> {
  const treeHash = await treeHashRoot(tree, SUITE.hash);
  return withContext(withExtensions(info, 'ratchet_tree', encodeRatchetTree(tree)), { treeHash });
}

/** The group as the service stores it: checked and proven. @param groupInfo base64 */
export function storedGroup(state: ClientState, groupInfo: string, more: Partial<StoredGroup> = {}): StoredGroup {
  const epoch = Number(state.groupContext.epoch);
  return { epoch, groupInfo: bytesOf(groupInfo), isChecked: true, isProven: true, ...more };
}

/** What the job gets for a request with a commit. */
export function bundleInput(
  body: Partial<Bundle['body']>,
  rest: Omit<CommitBundleInput, 'commit' | 'welcome' | 'groupInfo' | 'maxTreeBytes'> & { maxTreeBytes?: number },
): CommitBundleInput {
  const { commit = '', welcome, groupInfo } = body;
  return {
    commit: bytesOf(commit),
    ...(welcome === undefined ? {} : { welcome: bytesOf(welcome) }),
    ...(groupInfo === undefined ? {} : { groupInfo: bytesOf(groupInfo) }),
    maxTreeBytes: 1024 * 1024,
    ...rest,
  };
}
