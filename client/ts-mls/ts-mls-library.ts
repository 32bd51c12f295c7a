import type { CiphersuiteImpl, ClientConfig, ClientState, GroupInfo, Proposal as TsProposal } from 'ts-mls';
import {
  createApplicationMessage,
  createCommit,
  createGroup,
  createProposal,
  emptyPskIndex,
  joinGroup,
  joinGroupExternal,
  mlsExporter,
} from 'ts-mls';
import { ratchetTreeFromExtension } from 'ts-mls/groupInfo.js';
import { verifyKeyPackage } from 'ts-mls/keyPackage.js';
import { verifyLeafNodeSignatureKeyPackage } from 'ts-mls/leafNode.js';
import { protectExternalProposalPublic } from 'ts-mls/messageProtectionPublic.js';
import type {
  Aead,
  Framing,
  GroupInfoFacts,
  GroupState,
  GroupView,
  KeyPackage,
  LeafOwner,
  LoadMls,
  MlsLibrary,
  NewCommit,
  NewProposal,
  OwnKeyPackage,
  Processed,
  Proposal,
  SignatureKeyPair,
} from '../mls/mls-library.ts';
import { fromBase64, toBase64 } from '../platform/bytes.ts';
import { clientConfig } from './client-config.ts';
import { externalSendersExtension, readExternalSender, withExtensions } from './external-senders.ts';
import { groupInfoOf, joiningSuite } from './group-info.ts';
import { acceptsJoiners } from './joiner-check.ts';
import type { TsKeyPackage } from './key-package.ts';
import { decodeKeyPackage, loadSuite, makeKeyPackage } from './key-package.ts';
import { decodeMessage, encodeMessage } from './messages.ts';
import { withPastEpochs } from './past-epochs.ts';
import { readableState } from './readable-state.ts';
import { processed } from './receiving.ts';
import { decodeProposal, decodeState, encodeProposal, encodeState } from './state-codec.ts';
import { leafWithKey } from './tree.ts';
import { leafOf, viewOf } from './view.ts';

/** Loads ts-mls. Some cipher suites need optional packages of it. */
export const tsMls: LoadMls = async ({ cipherSuite, verify }) =>
  new TsMls(await loadSuite(cipherSuite), cipherSuite, clientConfig(verify));

/** The state of ts-mls behind a state of this library, and the other way round. */
export const clientStateOf = (state: GroupState): ClientState => state as unknown as ClientState;
export const groupStateOf = (state: ClientState): GroupState => state as unknown as GroupState;

class TsMls implements MlsLibrary {
  readonly cipherSuite: number;
  readonly aead: Aead;
  readonly #suite: CiphersuiteImpl;
  readonly #config: ClientConfig;

  constructor(suite: CiphersuiteImpl, cipherSuite: number, config: ClientConfig) {
    this.#suite = suite;
    this.cipherSuite = cipherSuite;
    this.#config = config;
    const { hpke } = suite;
    this.aead = {
      ...{ keyLength: hpke.keyLength, nonceLength: hpke.nonceLength },
      seal: (key, nonce, aad, plaintext) => hpke.encryptAead(key, nonce, aad, plaintext),
      open: (key, nonce, aad, ciphertext) => hpke.decryptAead(key, nonce, aad, ciphertext),
    };
  }

  newSignatureKeyPair(): Promise<SignatureKeyPair> {
    return this.#suite.signature.keygen();
  }

  async newKeyPackage(
    owner: LeafOwner,
    { isLastResort = false }: { readonly isLastResort?: boolean } = {},
  ): Promise<OwnKeyPackage> {
    const { ref, publicPackage, privatePackage } = await makeKeyPackage(owner, this.#suite, isLastResort);
    const message = encodeMessage({ wireformat: 'mls_key_package', keyPackage: publicPackage });
    const { initPrivateKey, hpkePrivateKey } = privatePackage;
    const secrets = { initPrivateKey: toBase64(initPrivateKey), hpkePrivateKey: toBase64(hpkePrivateKey) };
    return { ref, message, secrets, isLastResort };
  }

  async readKeyPackage(message: string): Promise<KeyPackage> {
    const keyPackage = decodeKeyPackage(message);
    const { signature } = this.#suite;
    const isSigned =
      (await verifyKeyPackage(keyPackage, signature)) &&
      (await verifyLeafNodeSignatureKeyPackage(keyPackage.leafNode, signature));
    if (!isSigned) throw new Error('a signature of the KeyPackage is wrong');
    return { message, ...leafOf(keyPackage.leafNode) };
  }

  endOf(keyPackage: string): number {
    return Number(decodeKeyPackage(keyPackage).leafNode.lifetime.notAfter) * 1000;
  }

  readWelcome(message: string): readonly string[] {
    const decoded = decodeMessage(message);
    return decoded.wireformat === 'mls_welcome'
      ? decoded.welcome.secrets.map(({ newMember }) => toBase64(newMember))
      : [];
  }

  readGroupInfo(message: string): GroupInfoFacts {
    const { info, tree } = readGroupInfo(message);
    const { groupId, epoch } = info.groupContext;
    return { groupId, epoch: Number(epoch), acceptsJoiners: acceptsJoiners(tree) };
  }

  async create(groupId: Uint8Array, owner: LeafOwner, externalSender?: string): Promise<GroupState> {
    const { publicPackage, privatePackage } = await makeKeyPackage(owner, this.#suite);
    const bare = await createGroup(groupId, publicPackage, privatePackage, [], this.#suite, this.#config);
    const extensions =
      externalSender === undefined ? [] : [externalSendersExtension([readExternalSender(externalSender)])];
    return groupStateOf(withExtensions(bare, extensions));
  }

  async joinByWelcome(welcome: string, own: OwnKeyPackage, owner: LeafOwner): Promise<GroupState> {
    const message = decodeMessage(welcome);
    if (message.wireformat !== 'mls_welcome') throw new Error('not a Welcome');
    const { publicPackage, privatePackage } = packagesOf(own, owner);
    const state = await joinGroup(
      ...([message.welcome, publicPackage, privatePackage, emptyPskIndex, this.#suite] as const),
      ...([undefined, undefined, this.#config] as const),
    );
    return groupStateOf(state);
  }

  async joinByCommit(groupInfo: string, owner: LeafOwner, authenticatedData?: Uint8Array): Promise<NewCommit> {
    const { info, tree } = readGroupInfo(groupInfo);
    const { publicPackage, privatePackage } = await makeKeyPackage(owner, this.#suite);
    // ts-mls demands the flag where the tree has a leaf of this device, and forbids it elsewhere.
    const isResync = leafWithKey(tree, owner.signatureKeyPair.publicKey) !== undefined;
    const suite = joiningSuite(this.#suite, info);
    const { publicMessage, newState } = await joinGroupExternal(
      ...([info, publicPackage, privatePackage, isResync, suite] as const),
      ...([undefined, this.#config, authenticatedData] as const),
    );
    return {
      state: groupStateOf(newState),
      commit: encodeMessage({ wireformat: 'mls_public_message', publicMessage }),
      groupInfo: await groupInfoOf(newState, this.#suite),
    };
  }

  async askToJoin(
    { groupId, epoch }: Pick<GroupInfoFacts, 'groupId' | 'epoch'>,
    own: OwnKeyPackage,
    owner: LeafOwner,
  ): Promise<string> {
    const proposal: TsProposal = { proposalType: 'add', add: { keyPackage: decodeKeyPackage(own.message) } };
    // An outsider does not know more of the group, and the proposal says no more.
    const unknown = { treeHash: new Uint8Array(), confirmedTranscriptHash: new Uint8Array(), extensions: [] };
    const context = {
      version: 'mls10',
      cipherSuite: this.#suite.name,
      groupId,
      epoch: BigInt(epoch),
      ...unknown,
    } as const;
    const { publicMessage } = await protectExternalProposalPublic(
      ...([owner.signatureKeyPair.signKey, context, new Uint8Array(), proposal] as const),
      ...([{ senderType: 'new_member_proposal' }, this.#suite] as const),
    );
    return encodeMessage({ wireformat: 'mls_public_message', publicMessage });
  }

  view(state: GroupState): GroupView {
    return viewOf(clientStateOf(state));
  }

  async process(state: GroupState, message: string): Promise<Processed> {
    const { state: next, ...rest } = await processed(decodeMessage(message), clientStateOf(state), this.#suite);
    return { ...rest, state: groupStateOf(next) };
  }

  async encrypt(
    state: GroupState,
    data: Uint8Array,
    authenticatedData: Uint8Array,
  ): Promise<{ state: GroupState; message: string }> {
    const { unappliedProposals, ...rest } = clientStateOf(state);
    // ts-mls refuses to send while proposals wait. Those that are left are not for this device to commit.
    const { newState, privateMessage } = await createApplicationMessage(
      ...([{ ...rest, unappliedProposals: {} }, data, this.#suite, authenticatedData] as const),
    );
    const message = encodeMessage({ wireformat: 'mls_private_message', privateMessage });
    return { state: groupStateOf({ ...newState, unappliedProposals }), message };
  }

  async propose(state: GroupState, proposal: Proposal, framing: Framing): Promise<NewProposal> {
    const { unappliedProposals, ...rest } = clientStateOf(state);
    const { isPublic = false, authenticatedData } = framing;
    const { newState, message } = await createProposal(
      ...([{ ...rest, unappliedProposals: {} }, isPublic, proposalOf(proposal)] as const),
      ...([this.#suite, authenticatedData] as const),
    );
    const [made] = Object.entries(newState.unappliedProposals);
    if (made === undefined) throw new Error('ts-mls made no proposal');
    return {
      state: groupStateOf({ ...newState, unappliedProposals }),
      message: encodeMessage(message),
      ref: made[0],
      proposal: encodeProposal(made[1]),
    };
  }

  async commit(
    state: GroupState,
    proposals: readonly Proposal[],
    pending: readonly string[],
    { isPublic = false, authenticatedData }: Framing,
  ): Promise<NewCommit> {
    const before = clientStateOf(state);
    // ts-mls commits all pending proposals of a state.
    const taken = Object.entries(before.unappliedProposals).filter(([ref]) => pending.includes(ref));
    const { newState, commit, welcome } = await createCommit(
      { state: { ...before, unappliedProposals: Object.fromEntries(taken) }, cipherSuite: this.#suite },
      {
        extraProposals: proposals.map(proposalOf),
        wireAsPublicMessage: isPublic,
        authenticatedData,
        ratchetTreeExtension: true,
      },
    );
    return {
      state: groupStateOf(newState),
      commit: encodeMessage(commit),
      ...(welcome === undefined ? {} : { welcome: encodeMessage({ wireformat: 'mls_welcome', welcome }) }),
      groupInfo: await groupInfoOf(newState, this.#suite),
    };
  }

  groupInfo(state: GroupState): Promise<string> {
    return groupInfoOf(clientStateOf(state), this.#suite);
  }

  withProposal(state: GroupState, ref: string, proposal: string): GroupState {
    const { unappliedProposals, ...rest } = clientStateOf(state);
    return groupStateOf({ ...rest, unappliedProposals: { ...unappliedProposals, [ref]: decodeProposal(proposal) } });
  }

  withoutProposals(state: GroupState, refs: ReadonlySet<string>): GroupState {
    const { unappliedProposals, ...rest } = clientStateOf(state);
    const kept = Object.entries(unappliedProposals).filter(([ref]) => !refs.has(ref));
    return groupStateOf({ ...rest, unappliedProposals: Object.fromEntries(kept) });
  }

  withPastEpochs(state: GroupState, before: GroupState): GroupState {
    return groupStateOf(withPastEpochs(clientStateOf(state), clientStateOf(before)));
  }

  readable(state: GroupState, epoch: number | undefined): GroupState {
    return groupStateOf(readableState(clientStateOf(state), epoch));
  }

  isWhole(state: GroupState): boolean {
    return clientStateOf(state).keySchedule.exporterSecret.length > 0;
  }

  encode(state: GroupState): string {
    return encodeState(clientStateOf(state));
  }

  decode(text: string): GroupState {
    return groupStateOf(decodeState(text, this.#config));
  }

  exportSecret(state: GroupState, label: string, context: Uint8Array, length: number): Promise<Uint8Array> {
    return mlsExporter(clientStateOf(state).keySchedule.exporterSecret, label, context, length, this.#suite);
  }

  sign(signKey: Uint8Array, bytes: Uint8Array): Promise<Uint8Array> {
    return this.#suite.signature.sign(signKey, bytes);
  }

  verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): Promise<boolean> {
    return this.#suite.signature.verify(publicKey, bytes, signature);
  }
}

function proposalOf(proposal: Proposal): TsProposal {
  return proposal.kind === 'add'
    ? { proposalType: 'add', add: { keyPackage: decodeKeyPackage(proposal.keyPackage.message) } }
    : { proposalType: 'remove', remove: { removed: proposal.leaf } };
}

function packagesOf(
  { message, secrets }: OwnKeyPackage,
  owner: LeafOwner,
): Pick<TsKeyPackage, 'publicPackage' | 'privatePackage'> {
  const { initPrivateKey, hpkePrivateKey } = secrets;
  if (initPrivateKey === undefined || hpkePrivateKey === undefined) throw new Error('the key package has no secrets');
  const privatePackage = {
    initPrivateKey: fromBase64(initPrivateKey),
    hpkePrivateKey: fromBase64(hpkePrivateKey),
    signaturePrivateKey: owner.signatureKeyPair.signKey,
  };
  return { publicPackage: decodeKeyPackage(message), privatePackage };
}

function readGroupInfo(base64: string): {
  info: GroupInfo;
  tree: NonNullable<ReturnType<typeof ratchetTreeFromExtension>>;
} {
  const message = decodeMessage(base64);
  if (message.wireformat !== 'mls_group_info') throw new Error('not a GroupInfo');
  const tree = ratchetTreeFromExtension(message.groupInfo);
  if (tree === undefined) throw new Error('the GroupInfo has no ratchet tree');
  return { info: message.groupInfo, tree };
}
