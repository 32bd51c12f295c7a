import type { CiphersuiteImpl, ClientState, Proposal } from 'ts-mls';
import { createCommit, createGroup, emptyPskIndex, joinGroup, joinGroupExternal } from 'ts-mls';
import type { OwnKeys } from './own-keys.ts';
import { newKeys } from './own-keys.ts';
import type { Target } from './attack-case.ts';
import { encodeMessage, groupInfoOf, joiningSuite, makeGroupInfo } from '../../client/testing.ts';

/** A group of real MLS clients that the service knows, at epoch 1 (0 with one member). */
export interface RealGroup {
  readonly id: string;
  readonly epoch: number;
  readonly suite: CiphersuiteImpl;
  /** State of each member, by user. */
  readonly states: ReadonlyMap<string, ClientState>;
  readonly stateOf: (user: string) => ClientState;
}

export interface CommitBody {
  readonly commit: string;
  readonly groupInfo: string;
  readonly welcome?: string;
}

/**
 * Makes a group of `users`, whose first one creates its conversation.
 * @param options.groupInfo false: the service gets no GroupInfo
 * @throws Error when the service does not take it
 */
export async function startRealGroup(
  target: Target,
  suite: CiphersuiteImpl,
  users: readonly string[],
  policy: Readonly<Record<string, unknown>> = {},
  options: { readonly groupInfo?: boolean } = {},
): Promise<RealGroup> {
  const [creator = '', ...others] = users;
  const groupId = crypto.getRandomValues(new Uint8Array(16));
  const own = await newKeys(creator, suite);
  const joiners = await Promise.all(others.map((user) => newKeys(user, suite)));
  let state = await createGroup(groupId, own.publicPackage, own.privatePackage, [], suite);
  const states = new Map<string, ClientState>();
  if (joiners.length > 0) {
    const added = await createCommit(
      { state, cipherSuite: suite },
      { extraProposals: joiners.map(addOf), ratchetTreeExtension: true },
    );
    state = added.newState;
    if (added.welcome === undefined) throw new Error('a commit that adds has a Welcome');
    for (const { user, publicPackage, privatePackage } of joiners) {
      states.set(user, await joinGroup(added.welcome, publicPackage, privatePackage, emptyPskIndex, suite));
    }
  }
  states.set(creator, state);
  const id = Buffer.from(groupId).toString('base64url');
  const epoch = Number(state.groupContext.epoch);
  const groupInfo = options.groupInfo === false ? {} : { groupInfo: await groupInfoOf(state, suite) };
  const body = { id, epoch, members: users, policy, ...groupInfo };
  const answer = await target.ask('POST /v1/conversations', { user: creator, body });
  if (answer.status !== 201) throw new Error(`The conversation was not created: ${answer.text}`);
  return {
    id,
    epoch,
    suite,
    states,
    stateOf: (user) => {
      const found = states.get(user);
      if (found === undefined) throw new Error(`${user} is not in the group`);
      return found;
    },
  };
}

/** A commit with its Welcome and GroupInfo, as the library makes it. */
export async function realCommit(
  state: ClientState,
  suite: CiphersuiteImpl,
  proposals: readonly Proposal[] = [],
): Promise<{ readonly body: CommitBody; readonly state: ClientState }> {
  const made = await createCommit(
    { state, cipherSuite: suite },
    { extraProposals: [...proposals], ratchetTreeExtension: true },
  );
  const body = {
    commit: encodeMessage(made.commit),
    groupInfo: await groupInfoOf(made.newState, suite),
    ...(made.welcome === undefined
      ? {}
      : { welcome: encodeMessage({ wireformat: 'mls_welcome', welcome: made.welcome }) }),
  };
  return { body, state: made.newState };
}

/** An external commit of somebody who is in no leaf yet (RFC 9420 §12.4.3.2). */
export async function realExternalCommit(
  from: ClientState,
  suite: CiphersuiteImpl,
  user: string,
): Promise<{ readonly body: CommitBody; readonly state: ClientState }> {
  const groupInfo = await makeGroupInfo(from, suite);
  const { publicPackage, privatePackage } = await newKeys(user, suite);
  const { publicMessage, newState } = await joinGroupExternal(
    groupInfo,
    publicPackage,
    privatePackage,
    false,
    joiningSuite(suite, groupInfo),
  );
  const commit = encodeMessage({ wireformat: 'mls_public_message', publicMessage });
  return { body: { commit, groupInfo: await groupInfoOf(newState, suite) }, state: newState };
}

function addOf({ publicPackage }: OwnKeys): Proposal {
  return { proposalType: 'add', add: { keyPackage: publicPackage } };
}
