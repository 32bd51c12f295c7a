import type { ParleyClient } from '../api/parley-client.ts';
import { hasCode } from '../api/problem.ts';
import type { PendingWelcome } from '../api/types.ts';
import type { GroupState, LeafOwner, MlsLibrary, OwnKeyPackage } from '../mls/mls-library.ts';
import { fromBase64Url, newId, toBase64Url } from '../platform/bytes.ts';
import { sleep } from '../platform/sleep.ts';
import type { Joined } from './group-log.ts';

/** Saves an external commit and the state after it, before the service gets the commit. */
export type BeforeCommit = (commit: string, state: GroupState) => Promise<void>;

export interface JoinContext {
  readonly api: Pick<ParleyClient, 'groupInfo' | 'commit'>;
  readonly mls: MlsLibrary;
  readonly identity: LeafOwner;
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
  { mls, identity }: Pick<JoinContext, 'mls' | 'identity'>,
  { conversation, welcome, seq }: PendingWelcome,
  own: OwnKeyPackage,
): Promise<Joined> {
  const state = await mls.joinByWelcome(welcome, own, identity);
  checkGroupId(mls.view(state).groupId, conversation);
  return { state, seq };
}

/**
 * Joins by an external commit (RFC 9420 §12.4.3.2). If the group has a leaf of this device, the commit replaces it. Tries
 * again for 10 s, until its commit wins an epoch.
 * @throws ProblemError if the policy does not allow external commits
 * @throws OldGroupInfoError
 */
export async function joinExternally(context: JoinContext, conversation: string): Promise<Joined> {
  const { api, mls, identity, beforeCommit, stated, knownEpoch = 0 } = context;
  const end = Date.now() + LIMIT_MS;
  for (let attempt = 1; ; attempt++) {
    try {
      const info = (await api.groupInfo(conversation)).groupInfo;
      const { groupId, epoch, acceptsJoiners } = mls.readGroupInfo(info);
      checkGroupId(groupId, conversation);
      if (!acceptsJoiners) throw new GroupRefusesJoinersError();
      if (epoch < knownEpoch) throw new OldGroupInfoError(epoch, knownEpoch);
      const { state, commit, groupInfo } = await mls.joinByCommit(info, identity, stated?.authenticatedData);
      await beforeCommit(commit, state);
      const { seq, chain } = await api.commit(conversation, {
        ...{ commit, groupInfo },
        ...(stated === undefined ? {} : { id: stated.id }),
        ...(stated?.position === undefined ? {} : { position: stated.position }),
      });
      return { state, seq, ...(chain === undefined ? {} : { chain }) };
    } catch (error) {
      const isRetryable = hasCode(error, ...RETRYABLE_CODES) || error instanceof GroupRefusesJoinersError;
      if (!isRetryable || Date.now() > end) throw error;
      await sleep(Math.random() * JITTER_MS * attempt);
    }
  }
}

/**
 * Asks the members of a group for an Add of this key package (RFC 9420 §12.1.8). The Welcome of the member that commits it
 * needs the secrets of the key package.
 * @throws ProblemError if the policy does not let outsiders ask
 */
export async function askToJoin(
  {
    api,
    mls,
    identity,
  }: Pick<JoinContext, 'mls' | 'identity'> & { readonly api: Pick<ParleyClient, 'epoch' | 'send'> },
  conversation: string,
  own: OwnKeyPackage,
): Promise<void> {
  const groupId = fromBase64Url(conversation);
  for (let attempt = 1; ; attempt++) {
    const ciphertext = await mls.askToJoin({ groupId, epoch: await api.epoch(conversation) }, own, identity);
    try {
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

  constructor(epoch: number, known: number) {
    super(`the GroupInfo is of epoch ${epoch}, but the log of the group has come to epoch ${known}`);
  }
}

/** The MLS library would not accept the tree of the group, because new members have not committed an update yet. */
export class GroupRefusesJoinersError extends Error {
  override readonly name = 'GroupRefusesJoinersError';

  constructor() {
    super('new members of the group have not updated their keys yet: the MLS library would not accept its tree');
  }
}

function checkGroupId(groupId: Uint8Array, conversation: string): void {
  if (toBase64Url(groupId) !== conversation) throw new Error('the keys belong to another group');
}
