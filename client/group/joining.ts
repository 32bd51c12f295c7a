import { setTimeout as sleep } from 'node:timers/promises';
import type { CiphersuiteImpl, ClientConfig, ClientState, GroupInfo } from 'ts-mls';
import { emptyPskIndex, joinGroup, joinGroupExternal } from 'ts-mls';
import { ratchetTreeFromExtension } from 'ts-mls/groupInfo.js';
import { toBase64Url } from '../platform/bytes.ts';
import { groupInfoOf } from './changes.ts';
import type { ParleyClient } from '../api/parley-client.ts';
import type { DeviceIdentity } from '../device/identity.ts';
import { isJoinable } from '../mls/joiner-check.ts';
import type { OwnKeyPackage } from '../mls/tree.ts';
import { leafWithKey, makeKeyPackage, unwire, wire } from '../mls/tree.ts';
import { hasCode } from '../api/problem.ts';
import type { PendingWelcome } from '../api/types.ts';

export interface JoinContext {
  readonly api: Pick<ParleyClient, 'groupInfo' | 'commit'>;
  readonly suite: CiphersuiteImpl;
  readonly identity: DeviceIdentity;
  readonly config: ClientConfig;
  /** Makes durable what an external commit leads to, before anybody else can see that. */
  readonly beforeCommit: (commit: string, state: ClientState) => Promise<void>;
}

/** The state of a new member, and the entry that made it one. */
export interface Joined {
  readonly state: ClientState;
  readonly seq: number;
}

const LIMIT_MS = 10_000;
const JITTER_MS = 50;
/** The group moved on, or has no GroupInfo for the moment. */
const TRY_AGAIN = ['epoch-conflict', 'group-info-missing', 'group-info-stale'];

/** Joins by a Welcome (RFC 9420 §12.4.3.1). @throws Error if it is not for this key package, or does not hold */
export async function joinByWelcome(
  { suite, config }: Pick<JoinContext, 'suite' | 'config'>,
  { conversation, welcome, seq }: PendingWelcome,
  { publicPackage, privatePackage }: OwnKeyPackage,
): Promise<Joined> {
  const message = unwire(welcome);
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
  checkGroup(state.groupContext.groupId, conversation);
  return { state, seq };
}

/**
 * Joins by an external commit (RFC 9420 §12.4.3.2), in the place of this device's old leaf if the group has it. Goes on until
 * its commit wins an epoch.
 * @throws ProblemError if the policy does not allow it
 */
export async function joinExternally(context: JoinContext, conversation: string): Promise<Joined> {
  const { api, suite, identity, config, beforeCommit } = context;
  const end = Date.now() + LIMIT_MS;
  for (let attempt = 1; ; attempt++) {
    try {
      const { info, isResync } = readGroupInfo((await api.groupInfo(conversation)).groupInfo, conversation, identity);
      const { publicPackage, privatePackage } = await makeKeyPackage(identity, suite);
      const { publicMessage, newState } = await joinGroupExternal(
        info,
        publicPackage,
        privatePackage,
        isResync,
        suite,
        undefined,
        config,
      );
      const commit = wire({ wireformat: 'mls_public_message', publicMessage });
      await beforeCommit(commit, newState);
      const { seq } = await api.commit(conversation, { commit, groupInfo: await groupInfoOf(newState, suite) });
      return { state: newState, seq };
    } catch (error) {
      const mayPass = hasCode(error, ...TRY_AGAIN) || error instanceof TreeNotJoinableError;
      if (!mayPass || Date.now() > end) throw error;
      await sleep(Math.random() * JITTER_MS * attempt);
    }
  }
}

class TreeNotJoinableError extends Error {
  override readonly name = 'TreeNotJoinableError';
}

/** A GroupInfo with which ts-mls can join; with `resync` it may only be called when the tree holds the device's own key. */
function readGroupInfo(
  base64: string,
  conversation: string,
  { signatureKeyPair }: DeviceIdentity,
): { info: GroupInfo; isResync: boolean } {
  const message = unwire(base64);
  if (message.wireformat !== 'mls_group_info') throw new Error('not a GroupInfo');
  const info = message.groupInfo;
  checkGroup(info.groupContext.groupId, conversation);
  const tree = ratchetTreeFromExtension(info);
  if (tree === undefined) throw new Error('a GroupInfo without a ratchet tree');
  if (!isJoinable(tree)) throw new TreeNotJoinableError('members who joined lately have not updated their keys');
  return { info, isResync: leafWithKey(tree, signatureKeyPair.publicKey) !== undefined };
}

function checkGroup(groupId: Uint8Array, conversation: string): void {
  if (toBase64Url(groupId) !== conversation) throw new Error('the keys of another group');
}
