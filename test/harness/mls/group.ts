import {
  acceptAll,
  createCommit,
  createGroup,
  defaultCapabilities,
  defaultLifetime,
  emptyPskIndex,
  encodeMlsMessage,
  generateKeyPackage,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroup,
  joinGroupExternal,
  processMessage,
} from 'ts-mls';
import { signGroupInfo } from 'ts-mls/groupInfo.js';
import type {
  CiphersuiteImpl,
  ClientState,
  Extension,
  GroupInfo,
  KeyPackage,
  MLSMessage,
  MlsMessageContent,
  PrivateKeyPackage,
  Proposal,
} from 'ts-mls';
import { defaultClientConfig } from 'ts-mls/clientConfig.js';
import type { Answer } from '../../../tools/harness/answer.ts';
import { joiningSuite, makeGroupInfo } from '../../../client/testing.ts';
import { base64 } from '../api/conversations.ts';
import type { InProcessApi } from '../../../tools/harness/in-process-api.ts';

/** MLS groups of real clients (ts-mls), whose messages a test hands to the service one by one, whole or spoilt. */

const suite = await getCiphersuiteImpl(getCiphersuiteFromName('MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'));

/** The suite of all groups here. */
export const SUITE: CiphersuiteImpl = suite;

export interface Keys {
  readonly user: string;
  readonly publicPackage: KeyPackage;
  readonly privatePackage: PrivateKeyPackage;
}

/** A key package of a new device. @param identity what its credential says, if not the user's id */
export async function newKeys(user: string, identity: Uint8Array = Buffer.from(user)): Promise<Keys> {
  const credential = { credentialType: 'basic', identity: new Uint8Array(identity) } as const;
  return { user, ...(await generateKeyPackage(credential, defaultCapabilities(), defaultLifetime, [], suite)) };
}

export function add(keys: Pick<Keys, 'publicPackage'>): Proposal {
  return { proposalType: 'add', add: { keyPackage: keys.publicPackage } };
}

/** Removal of all leaves of a user. */
export function removalOf(state: ClientState, user: string): Proposal[] {
  return leafIndexes(state, user).map((removed) => ({ proposalType: 'remove', remove: { removed } }));
}

export function leafIndexes(state: ClientState, user: string): number[] {
  return state.ratchetTree.flatMap((node, index) => {
    if (node?.nodeType !== 'leaf' || node.leaf.credential.credentialType !== 'basic') return [];
    return Buffer.from(node.leaf.credential.identity).toString() === user ? [index / 2] : [];
  });
}

/** Base64 of an MLSMessage. */
export function wire(content: MlsMessageContent): string {
  return base64(encodeMlsMessage({ version: 'mls10', ...content }));
}

export function wireGroupInfo(groupInfo: GroupInfo): string {
  return wire({ wireformat: 'mls_group_info', groupInfo });
}

/** GroupInfo of a state, signed by its owner. */
export function groupInfoOf(state: ClientState, options: { readonly tree?: boolean } = {}): Promise<GroupInfo> {
  return makeGroupInfo(state, suite, options);
}

/** The GroupInfo of a state with another tree, signed again. */
export async function withTree(state: ClientState, tree: Uint8Array): Promise<string> {
  const { groupContext, confirmationTag, signer, extensions } = await groupInfoOf(state);
  const others = extensions.filter(({ extensionType }) => extensionType !== 'ratchet_tree');
  const spoilt = { extensionType: 'ratchet_tree' as const, extensionData: tree };
  return resigned(state, { groupContext, confirmationTag, signer, extensions: [...others, spoilt] });
}

/** A GroupInfo signed again by the owner of a state. */
export async function resigned(state: ClientState, tbs: Omit<GroupInfo, 'signature'>): Promise<string> {
  return wireGroupInfo(await signGroupInfo(tbs, state.signaturePrivateKey, suite.signature));
}

/** The body of `POST /commits`, and what it was made of. */
export interface Bundle {
  readonly body: { readonly commit: string; readonly groupInfo: string; readonly welcome?: string };
  readonly commit: MLSMessage;
  readonly groupInfo: GroupInfo;
  readonly newState: ClientState;
}

/** A commit with its Welcome and GroupInfo. */
export async function makeBundle(
  state: ClientState,
  proposals: readonly Proposal[] = [],
  options: { readonly isPublic?: boolean; readonly tree?: boolean } = {},
): Promise<Bundle> {
  const { commit, welcome, newState } = await createCommit(
    { state, cipherSuite: suite },
    { extraProposals: [...proposals], wireAsPublicMessage: options.isPublic ?? false, ratchetTreeExtension: true },
  );
  const groupInfo = await groupInfoOf(newState, options);
  const body = {
    commit: wire(commit),
    groupInfo: wireGroupInfo(groupInfo),
    ...(welcome === undefined ? {} : { welcome: wire({ wireformat: 'mls_welcome', welcome }) }),
  };
  return { body, commit, groupInfo, newState };
}

/** A group that the service knows: at epoch 1, everybody's state by user. */
export interface Group {
  readonly id: string;
  readonly states: Map<string, ClientState>;
  /** The state of a member. */
  readonly of: (user: string) => ClientState;
}

/** Starts a group of `users`, each with one device, and its conversation; the first user creates it. */
export async function startGroup(
  service: InProcessApi,
  users: readonly string[],
  policy: Readonly<Record<string, unknown>> = {},
  options: { readonly groupInfo?: boolean; readonly tree?: boolean; readonly extensions?: readonly Extension[] } = {},
): Promise<Group> {
  const { id, states } = await localGroup(users, options.extensions);
  const [creator = ''] = users;
  const state = states.get(creator);
  if (state === undefined) throw new Error('a group has a creator');
  const groupInfo = options.groupInfo === false ? {} : { groupInfo: wireGroupInfo(await groupInfoOf(state, options)) };
  const body = { id, epoch: users.length > 1 ? 1 : 0, members: users, policy, ...groupInfo };
  const answer = await service.ask('POST /v1/conversations', { user: creator, body });
  if (answer.status !== 201) throw new Error(`not created: ${answer.text}`);
  return groupOf(id, states);
}

/** The same group, of which the service knows nothing. @param extensions of its GroupContext */
export async function localGroup(
  users: readonly string[],
  extensions: readonly Extension[] = [],
): Promise<{ id: string; states: Map<string, ClientState> }> {
  const [creator = '', ...others] = users;
  const groupId = crypto.getRandomValues(new Uint8Array(16));
  const own = await newKeys(creator);
  const joiners = await Promise.all(others.map((user) => newKeys(user)));
  let state = await createGroup(groupId, own.publicPackage, own.privatePackage, [], suite);
  // At epoch 0 no secret depends on them yet (RFC 9420 §11). ts-mls 1.6.4 creates no group with a vector of external senders.
  state = { ...state, groupContext: { ...state.groupContext, extensions: [...extensions] } };
  const states = new Map<string, ClientState>();
  if (joiners.length > 0) {
    const { newState, welcome } = await createCommit(
      { state, cipherSuite: suite },
      { extraProposals: joiners.map(add), ratchetTreeExtension: true },
    );
    state = newState;
    if (welcome === undefined) throw new Error('a commit that adds has a Welcome');
    for (const { user, publicPackage, privatePackage } of joiners) {
      states.set(user, await joinGroup(welcome, publicPackage, privatePackage, emptyPskIndex, suite));
    }
  }
  states.set(creator, state);
  return { id: Buffer.from(groupId).toString('base64url'), states };
}

function groupOf(id: string, states: Map<string, ClientState>): Group {
  return {
    id,
    states,
    of: (user) => {
      const state = states.get(user);
      if (state === undefined) throw new Error(`${user} has no state`);
      return state;
    },
  };
}

/** Everybody but its sender takes an accepted commit; those it removed drop out. */
export async function deliver(
  group: Group,
  sender: string,
  { commit, newState }: Pick<Bundle, 'commit' | 'newState'>,
): Promise<void> {
  for (const [user, state] of group.states) {
    if (user === sender) continue;
    if (commit.wireformat !== 'mls_private_message' && commit.wireformat !== 'mls_public_message')
      throw new Error('no commit');
    const result = await processMessage(commit, state, emptyPskIndex, acceptAll, suite);
    if (result.kind !== 'newState') throw new Error('no commit');
    if (result.newState.groupActiveState.kind === 'active') group.states.set(user, result.newState);
    else group.states.delete(user);
  }
  group.states.set(sender, newState);
}

/** An external commit (RFC 9420 §12.4.3.2), with the GroupInfo of the epoch that it starts. */
export async function makeExternal(
  groupInfo: GroupInfo,
  keys: Keys,
  /** User whose leaf it takes out. */
  removes?: string,
): Promise<Bundle> {
  const { publicMessage, newState } = await joinGroupExternal(
    groupInfo,
    keys.publicPackage,
    keys.privatePackage,
    removes !== undefined,
    joiningSuite(suite, groupInfo),
    undefined,
    {
      ...defaultClientConfig,
      keyPackageEqualityConfig: {
        ...defaultClientConfig.keyPackageEqualityConfig,
        compareKeyPackageToLeafNode: (_own, { credential }) =>
          credential.credentialType === 'basic' && Buffer.from(credential.identity).toString() === removes,
      },
    },
  );
  const commit: MLSMessage = { version: 'mls10', wireformat: 'mls_public_message', publicMessage };
  const next = await groupInfoOf(newState);
  return { body: { commit: wire(commit), groupInfo: wireGroupInfo(next) }, commit, groupInfo: next, newState };
}

/** Posts a commit. @returns status, and the problem's code */
export function commit(service: InProcessApi, id: string, user: string, body: unknown): Promise<Answer> {
  return service.ask(`POST /v1/conversations/${id}/commits`, { user, body });
}

/** Status and problem code. */
export function verdict({ status, body }: Answer): [number, unknown] {
  return [status, body.code];
}
