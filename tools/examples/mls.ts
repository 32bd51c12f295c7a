import type { CiphersuiteImpl, ClientState, Proposal } from 'ts-mls';
import {
  createApplicationMessage,
  createCommit,
  createGroup,
  defaultCapabilities,
  generateKeyPackageWithKey,
} from 'ts-mls';
import { toBase64 } from '../../client/index.ts';
import {
  type DeviceIdentity,
  encodeMessage,
  groupInfoOf,
  groupStateOf,
  loadSuite,
  sealSignal,
  signalKeysOf,
  trustingMls,
} from '../../client/testing.ts';

/** KeyPackage extension `last_resort` (IANA registry of MLS extension types). */
const LAST_RESORT = 10;
/** Recorded bytes must be good for as long as somebody reads the documentation. */
const LIFETIME_S = 50 * 365 * 86_400;

/** What an MLS device sends in the examples. All bytes are base64. */
export interface ExampleDevice {
  readonly keyPackage: (options?: { readonly isLastResort?: boolean }) => Promise<ExampleKeyPackage>;
  /** Begins a group. @param id base64url of its group id @returns its GroupInfo */
  readonly begin: (id: string) => Promise<string>;
  /** Adds the owner of a key package. */
  readonly add: (added: ExampleKeyPackage) => Promise<{ commit: string; welcome: string; groupInfo: string }>;
  /** A commit of the current epoch that the group never follows. */
  readonly update: () => Promise<{ commit: string; groupInfo: string }>;
  readonly message: (text: string) => Promise<string>;
  readonly signal: (text: string) => Promise<string>;
}

type KeyPackage = Awaited<ReturnType<typeof generateKeyPackageWithKey>>['publicPackage'];

export interface ExampleKeyPackage {
  readonly bytes: string;
  readonly keyPackage: KeyPackage;
}

export async function exampleDevice(user: string): Promise<ExampleDevice> {
  const suite = await loadSuite();
  const owner = { user, device: 'default', signatureKeyPair: await suite.signature.keygen() };
  let group: ClientState | undefined;
  const state = (): ClientState => {
    if (group === undefined) throw new Error(`${user} has no group`);
    return group;
  };
  return {
    keyPackage: async ({ isLastResort = false } = {}) => {
      const { publicPackage } = await makeKeyPackage(owner, suite, isLastResort);
      const bytes = encodeMessage({ wireformat: 'mls_key_package', keyPackage: publicPackage });
      return { bytes, keyPackage: publicPackage };
    },
    begin: async (id) => {
      const { publicPackage, privatePackage } = await makeKeyPackage(owner, suite, false);
      const groupId = Uint8Array.from(Buffer.from(id, 'base64url'));
      group = await createGroup(groupId, publicPackage, privatePackage, [], suite);
      return groupInfoOf(group, suite);
    },
    add: async ({ keyPackage }) => {
      const proposal: Proposal = { proposalType: 'add', add: { keyPackage } };
      const options = { extraProposals: [proposal], ratchetTreeExtension: true };
      const { commit, welcome, newState } = await createCommit({ state: state(), cipherSuite: suite }, options);
      if (welcome === undefined) throw new Error('a commit that adds somebody has a Welcome');
      group = newState;
      return {
        commit: encodeMessage(commit),
        welcome: encodeMessage({ wireformat: 'mls_welcome', welcome }),
        groupInfo: await groupInfoOf(newState, suite),
      };
    },
    update: async () => {
      const { commit, newState } = await createCommit({ state: state(), cipherSuite: suite });
      return { commit: encodeMessage(commit), groupInfo: await groupInfoOf(newState, suite) };
    },
    message: async (text) => {
      const made = await createApplicationMessage(state(), new TextEncoder().encode(text), suite);
      group = made.newState;
      return encodeMessage({ wireformat: 'mls_private_message', privateMessage: made.privateMessage });
    },
    signal: async (text) => {
      const { privatePath, signaturePrivateKey } = state();
      const content = { leafIndex: privatePath.leafIndex, at: Date.now(), data: new TextEncoder().encode(text) };
      const mls = await trustingMls();
      const keys = await signalKeysOf(groupStateOf(state()), mls);
      return toBase64(await sealSignal(keys, content, signaturePrivateKey, mls));
    },
  };
}

function makeKeyPackage(
  { user, signatureKeyPair }: DeviceIdentity,
  suite: CiphersuiteImpl,
  isLastResort: boolean,
): ReturnType<typeof generateKeyPackageWithKey> {
  const now = BigInt(Math.floor(Date.now() / 1000));
  const capabilities = defaultCapabilities();
  return generateKeyPackageWithKey(
    { credentialType: 'basic', identity: new TextEncoder().encode(user) },
    { ...capabilities, extensions: [...capabilities.extensions, LAST_RESORT] },
    { notBefore: now - 7200n, notAfter: now + BigInt(LIFETIME_S) },
    isLastResort ? [{ extensionType: LAST_RESORT, extensionData: new Uint8Array() }] : [],
    signatureKeyPair,
    suite,
  );
}

/** Bytes of a text, base64. */
export const textBytes = (text: string): string => toBase64(new TextEncoder().encode(text));
