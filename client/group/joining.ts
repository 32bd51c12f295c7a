import type { CiphersuiteImpl, ClientConfig, ClientState, GroupInfo, Proposal } from 'ts-mls';
import { emptyPskIndex, joinGroup, joinGroupExternal } from 'ts-mls';
import { ratchetTreeFromExtension } from 'ts-mls/groupInfo.js';
import { protectExternalProposalPublic } from 'ts-mls/messageProtectionPublic.js';
import type { ParleyClient } from '../api/parley-client.ts';
import { hasCode } from '../api/problem.ts';
import type { PendingWelcome } from '../api/types.ts';
import { groupInfoOf, joiningSuite } from '../mls/group-info.ts';
import { acceptsJoiners } from '../mls/joiner-check.ts';
import type { LeafOwner, OwnKeyPackage } from '../mls/key-package.ts';
import { makeKeyPackage } from '../mls/key-package.ts';
import { decodeMessage, encodeMessage } from '../mls/messages.ts';
import { leafWithKey } from '../mls/tree.ts';
import { fromBase64Url, newId, toBase64Url } from '../platform/bytes.ts';
import { sleep } from '../platform/sleep.ts';
import type { Joined } from './group-log.ts';

/** Saves an external commit and the state after it, before the service gets the commit. */
export type BeforeCommit = (commit: string, state: ClientState) => Promise<void>;

export interface JoinContext {
  readonly api: Pick<ParleyClient, 'groupInfo' | 'commit'>;
  readonly suite: CiphersuiteImpl;
  readonly identity: LeafOwner;
  readonly config: ClientConfig;
  readonly beforeCommit: BeforeCommit;
  /** What the external commit says, and its message id. A device that has read nothing of the log says nothing. */
  readonly stated?: { readonly id: string; readonly authenticatedData: Uint8Array; readonly position?: string };
  /** Epoch of the group that the device knows of. @default 0 */
  readonly knownEpoch?: number;
}

const LIMIT_MS = 10_000;
const JITTER_MS = 50;
/** Requests to join, each for another epoch. */
const MAX_ATTEMPTS = 5;
/** The group is in another epoch, or the service has no GroupInfo at the moment. */
const RETRYABLE_CODES = ['epoch-conflict', 'group-info-missing', 'group-info-stale'] as const;

/** Joins by a Welcome (RFC 9420 §12.4.3.1). @throws Error if the Welcome is not for this key package or not valid */
export async function joinByWelcome(
  { suite, config }: Pick<JoinContext, 'suite' | 'config'>,
  { conversation, welcome, seq }: PendingWelcome,
  { publicPackage, privatePackage }: OwnKeyPackage,
): Promise<Joined> {
  const message = decodeMessage(welcome);
  if (message.wireformat !== 'mls_welcome') throw new Error('not a Welcome');
  const state = await joinGroup(
    message.welcome,
    publicPackage,
    privatePackage,
    emptyPskIndex,
    suite,
    undefined,
    undefined,
    config,
  );
  checkGroupId(state.groupContext.groupId, conversation);
  return { state, seq };
}

/**
 * Joins by an external commit (RFC 9420 §12.4.3.2). If the group has a leaf of this device, the commit replaces it. Tries
 * again for 10 s, until its commit wins an epoch.
 * @throws ProblemError if the policy does not allow external commits
 * @throws OldGroupInfoError
 */
export async function joinExternally(context: JoinContext, conversation: string): Promise<Joined> {
  const { api, suite, identity, config, beforeCommit, stated, knownEpoch = 0 } = context;
  const end = Date.now() + LIMIT_MS;
  for (let attempt = 1; ; attempt++) {
    try {
      const { info, isResync } = readGroupInfo((await api.groupInfo(conversation)).groupInfo, conversation, identity);
      if (info.groupContext.epoch < knownEpoch) throw new OldGroupInfoError(info.groupContext.epoch, knownEpoch);
      const { publicPackage, privatePackage } = await makeKeyPackage(identity, suite);
      const { publicMessage, newState } = await joinGroupExternal(
        info,
        publicPackage,
        privatePackage,
        isResync,
        joiningSuite(suite, info),
        undefined,
        config,
        stated?.authenticatedData,
      );
      const commit = encodeMessage({ wireformat: 'mls_public_message', publicMessage });
      await beforeCommit(commit, newState);
      const groupInfo = await groupInfoOf(newState, suite);
      const { seq, chain } = await api.commit(conversation, {
        ...{ commit, groupInfo },
        ...(stated === undefined ? {} : { id: stated.id }),
        ...(stated?.position === undefined ? {} : { position: stated.position }),
      });
      return { state: newState, seq, ...(chain === undefined ? {} : { chain }) };
    } catch (error) {
      const isRetryable = hasCode(error, ...RETRYABLE_CODES) || error instanceof GroupRefusesJoinersError;
      if (!isRetryable || Date.now() > end) throw error;
      await sleep(Math.random() * JITTER_MS * attempt);
    }
  }
}

/**
 * Asks the members of a group for an Add of this key package (RFC 9420 §12.1.8). The Welcome of the member that commits it
 * needs the secrets of the key package. Outsiders know of the group only its id, its epoch and its cipher suite, and the
 * proposal says no more.
 * @throws ProblemError if the policy does not let outsiders ask
 */
export async function askToJoin(
  { api, suite }: { readonly api: Pick<ParleyClient, 'epoch' | 'send'>; readonly suite: CiphersuiteImpl },
  conversation: string,
  { publicPackage, privatePackage }: OwnKeyPackage,
): Promise<void> {
  const proposal: Proposal = { proposalType: 'add', add: { keyPackage: publicPackage } };
  const unknown = { treeHash: new Uint8Array(), confirmedTranscriptHash: new Uint8Array(), extensions: [] };
  for (let attempt = 1; ; attempt++) {
    const epoch = BigInt(await api.epoch(conversation));
    const groupId = fromBase64Url(conversation);
    const { publicMessage } = await protectExternalProposalPublic(
      privatePackage.signaturePrivateKey,
      { version: 'mls10', cipherSuite: suite.name, groupId, epoch, ...unknown },
      new Uint8Array(),
      proposal,
      { senderType: 'new_member_proposal' },
      suite,
    );
    try {
      const ciphertext = encodeMessage({ wireformat: 'mls_public_message', publicMessage });
      await api.send(conversation, { id: newId(), ciphertext });
      return;
    } catch (error) {
      if (!hasCode(error, 'proposal-stale') || attempt >= MAX_ATTEMPTS) throw error;
    }
  }
}

/**
 * The service gave the GroupInfo of an epoch that is over. Members who were removed since are in its tree, and would read what is
 * sent after a join by it.
 */
export class OldGroupInfoError extends Error {
  override readonly name = 'OldGroupInfoError';

  constructor(epoch: bigint, known: number) {
    super(`the GroupInfo is of epoch ${epoch}, but the log of the group has come to epoch ${known}`);
  }
}

/** ts-mls would not accept the tree of the group, because new members have not committed an update yet. */
export class GroupRefusesJoinersError extends Error {
  override readonly name = 'GroupRefusesJoinersError';

  constructor() {
    super('new members of the group have not updated their keys yet: ts-mls would not accept its tree');
  }
}

/** `isResync`: the tree has a leaf of this device. ts-mls demands the flag in this case, and forbids it in any other. */
function readGroupInfo(
  base64: string,
  conversation: string,
  { signatureKeyPair }: LeafOwner,
): { info: GroupInfo; isResync: boolean } {
  const message = decodeMessage(base64);
  if (message.wireformat !== 'mls_group_info') throw new Error('not a GroupInfo');
  const info = message.groupInfo;
  checkGroupId(info.groupContext.groupId, conversation);
  const tree = ratchetTreeFromExtension(info);
  if (tree === undefined) throw new Error('the GroupInfo has no ratchet tree');
  if (!acceptsJoiners(tree)) throw new GroupRefusesJoinersError();
  return { info, isResync: leafWithKey(tree, signatureKeyPair.publicKey) !== undefined };
}

function checkGroupId(groupId: Uint8Array, conversation: string): void {
  if (toBase64Url(groupId) !== conversation) throw new Error('the keys belong to another group');
}
