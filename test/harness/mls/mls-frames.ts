import {
  createApplicationMessage,
  createCommit,
  createGroup,
  createProposal,
  defaultCapabilities,
  defaultLifetime,
  encodeExternalSender,
  encodeMlsMessage,
  generateKeyPackage,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroupExternal,
  proposeAddExternal,
  proposeExternal,
} from 'ts-mls';
import type { CiphersuiteImpl, ClientState, Credential, Extension, MLSMessage, Proposal } from 'ts-mls';
import { joiningSuite, makeGroupInfo } from '../../../client/testing.ts';

type Identity = Awaited<ReturnType<typeof generateKeyPackage>>;

/** One MLSMessage of each kind that ts-mls can create, with a descriptive name. */
export interface NamedFrame {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const aad = text('authenticated');

function makeIdentity(name: string, suite: CiphersuiteImpl, extensions: Extension[] = []): Promise<Identity> {
  const credential: Credential = { credentialType: 'basic', identity: text(name) };
  const capabilities = { ...defaultCapabilities(), extensions: [10], proposals: [0xf000] };
  return generateKeyPackage(credential, capabilities, defaultLifetime, extensions, suite);
}

/** Messages of a group of `size` members, encoded by ts-mls. */
export async function makeFrames(size: number): Promise<NamedFrame[]> {
  const suite = await getCiphersuiteImpl(getCiphersuiteFromName('MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'));
  const frames: NamedFrame[] = [];
  const keep = (name: string, message: MLSMessage): void => {
    frames.push({ name: `${name}, ${size} members`, bytes: encodeMlsMessage(message) });
  };
  const first = await makeIdentity('user-0', suite);
  const server = await suite.signature.keygen();
  const sender = encodeExternalSender({
    signaturePublicKey: server.publicKey,
    credential: { credentialType: 'basic', identity: text('server') },
  });
  const groupExtensions: Extension[] = [{ extensionType: 'external_senders', extensionData: sender }];
  const groupId = crypto.getRandomValues(new Uint8Array(16 + size));
  let state = await createGroup(groupId, first.publicPackage, first.privatePackage, groupExtensions, suite);

  const others = await Promise.all(Array.from({ length: size - 1 }, (_, i) => makeIdentity(`user-${i + 1}`, suite)));
  const adds = others.map((other): Proposal => ({ proposalType: 'add', add: { keyPackage: other.publicPackage } }));
  for (const wireAsPublicMessage of [true, false]) {
    const options = { extraProposals: adds, wireAsPublicMessage, ratchetTreeExtension: wireAsPublicMessage };
    const added = await createCommit({ state, cipherSuite: suite }, { ...options, authenticatedData: aad });
    keep(`adding ${wireAsPublicMessage ? 'public' : 'private'} commit`, added.commit);
    if (added.welcome === undefined) throw new Error('an adding commit has a Welcome');
    keep('welcome', { version: 'mls10', wireformat: 'mls_welcome', welcome: added.welcome });
    if (!wireAsPublicMessage) state = added.newState;
  }
  await keepCommits(state, suite, keep);
  await keepProposals(state, suite, keep);
  await keepExternals(state, suite, keep, server);

  const sent = await createApplicationMessage(state, text('hello'), suite, aad);
  keep('application', { version: 'mls10', wireformat: 'mls_private_message', privateMessage: sent.privateMessage });
  const lastResort = await makeIdentity('user-0', suite, [{ extensionType: 10, extensionData: new Uint8Array() }]);
  keep('key package', { version: 'mls10', wireformat: 'mls_key_package', keyPackage: lastResort.publicPackage });
  return frames;
}

type Keep = (name: string, message: MLSMessage) => void;

async function keepCommits(state: ClientState, suite: CiphersuiteImpl, keep: Keep): Promise<void> {
  const remove: Proposal = { proposalType: 'remove', remove: { removed: 1 } };
  const proposed = await createProposal(state, true, remove, suite);
  for (const wireAsPublicMessage of [true, false]) {
    const kind = wireAsPublicMessage ? 'public' : 'private';
    const context = { state, cipherSuite: suite };
    const make = (extraProposals: Proposal[]): ReturnType<typeof createCommit> =>
      createCommit(context, { extraProposals, wireAsPublicMessage });
    keep(`updating ${kind} commit`, (await make([])).commit);
    keep(`removing ${kind} commit`, (await make([remove])).commit);
    const byReference = { ...context, state: proposed.newState };
    keep(`${kind} commit by reference`, (await createCommit(byReference, { wireAsPublicMessage })).commit);
  }
}

async function keepProposals(state: ClientState, suite: CiphersuiteImpl, keep: Keep): Promise<void> {
  const newcomer = await makeIdentity('newcomer', suite);
  const updated = await createCommit({ state, cipherSuite: suite }, { wireAsPublicMessage: true });
  if (updated.commit.wireformat !== 'mls_public_message') throw new Error('asked for a public commit');
  const content = updated.commit.publicMessage.content;
  if (content.contentType !== 'commit' || content.commit.path === undefined) throw new Error('an update has a path');
  const nonce = { pskNonce: crypto.getRandomValues(new Uint8Array(32)) };
  const proposals: Record<string, Proposal> = {
    add: { proposalType: 'add', add: { keyPackage: newcomer.publicPackage } },
    update: {
      proposalType: 'update',
      update: { leafNode: { ...content.commit.path.leafNode, leafNodeSource: 'update' } },
    },
    remove: { proposalType: 'remove', remove: { removed: 1 } },
    'external psk': {
      proposalType: 'psk',
      psk: { preSharedKeyId: { psktype: 'external', pskId: text('psk'), ...nonce } },
    },
    'resumption psk': {
      proposalType: 'psk',
      psk: { preSharedKeyId: { psktype: 'resumption', usage: 'branch', pskGroupId: aad, pskEpoch: 7n, ...nonce } },
    },
    reinit: {
      proposalType: 'reinit',
      reinit: { groupId: aad, version: 'mls10', cipherSuite: suite.name, extensions: [] },
    },
    'external init': { proposalType: 'external_init', externalInit: { kemOutput: nonce.pskNonce } },
    extensions: {
      proposalType: 'group_context_extensions',
      groupContextExtensions: { extensions: [{ extensionType: 10, extensionData: aad }] },
    },
    custom: { proposalType: 0xf000, proposalData: aad },
  };
  for (const [name, proposal] of Object.entries(proposals)) {
    for (const isPublic of [true, false]) {
      const kind = isPublic ? 'public' : 'private';
      keep(`${name} ${kind} proposal`, (await createProposal(state, isPublic, proposal, suite, aad)).message);
    }
  }
}

async function keepExternals(
  state: ClientState,
  suite: CiphersuiteImpl,
  keep: Keep,
  server: { signKey: Uint8Array; publicKey: Uint8Array },
): Promise<void> {
  const joiner = await makeIdentity('joiner', suite);
  const withoutTree = await makeGroupInfo(state, suite, { tree: false });
  const groupInfo = await makeGroupInfo(state, suite);
  keep('group info', { version: 'mls10', wireformat: 'mls_group_info', groupInfo: withoutTree });
  keep('group info with tree', { version: 'mls10', wireformat: 'mls_group_info', groupInfo });
  const joined = await joinGroupExternal(
    groupInfo,
    joiner.publicPackage,
    joiner.privatePackage,
    false,
    joiningSuite(suite, groupInfo),
  );
  keep('external commit', { version: 'mls10', wireformat: 'mls_public_message', publicMessage: joined.publicMessage });
  keep('new member proposal', await proposeAddExternal(groupInfo, joiner.publicPackage, joiner.privatePackage, suite));
  const remove: Proposal = { proposalType: 'remove', remove: { removed: 1 } };
  keep('external proposal', await proposeExternal(groupInfo, remove, server.publicKey, server.signKey, suite));
}
