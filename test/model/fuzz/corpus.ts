import {
  defaultCapabilities,
  defaultLifetime,
  encodeMlsMessage,
  generateKeyPackage,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
} from 'ts-mls';
import { FrameError, parseFrame } from '../../../mls/frame.ts';
import { type NamedFrame, makeFrames } from '../../harness/mls/mls-frames.ts';

/** The kind of message that a field of a request holds. */
export type FrameKind = 'application' | 'proposal' | 'commit' | 'welcome' | 'group info' | 'key package';

/** Messages of one MLS group in epoch 1, and its conversation. */
export interface Corpus {
  /** group_id as base64url. */
  readonly conversation: string;
  /** User ids, by leaf. */
  readonly members: readonly string[];
  readonly frames: readonly NamedFrame[];
}

/** A new group of `size` members with one message of every kind that ts-mls can make. */
export async function makeCorpus(size: number): Promise<Corpus> {
  const frames = await makeFrames(size);
  const groupId = groupIdOf(frames);
  return {
    conversation: Buffer.from(groupId).toString('base64url'),
    members: Array.from({ length: size }, (_, i) => `user-${i}`),
    frames,
  };
}

function groupIdOf(frames: readonly NamedFrame[]): Uint8Array {
  for (const { bytes } of frames) {
    const frame = parseFrame(bytes);
    if (!(frame instanceof FrameError) && 'groupId' in frame) return frame.groupId;
  }
  throw new Error('no message names its group');
}

/** The kind of a message, taken from its name. */
export function kindOf({ name }: NamedFrame): FrameKind {
  const kinds: FrameKind[] = ['group info', 'key package', 'welcome', 'proposal', 'commit', 'application'];
  const found = kinds.find((kind) => name.includes(kind));
  if (found === undefined) throw new Error(`${name} is of no known kind`);
  return found;
}

/** The kinds of messages that fit a field. `undefined` for other bytes. */
export function kindOfField(field: string): readonly FrameKind[] {
  switch (field) {
    case 'ciphertext':
      return ['application', 'proposal'];
    case 'commit':
    case 'proposal':
    case 'welcome':
      return [field];
    case 'groupInfo':
      return ['group info'];
    case 'keyPackage':
    case 'keyPackages':
    case 'lastResort':
      return ['key package'];
    default:
      return [];
  }
}

/** KeyPackages of a user, each for one join, or marked as last resort (extension type 10). */
export async function makeKeyPackages(user: string, count: number, isLastResort = false): Promise<Uint8Array[]> {
  const suite = await getCiphersuiteImpl(getCiphersuiteFromName('MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'));
  const extensions = isLastResort ? [{ extensionType: 10, extensionData: new Uint8Array() }] : [];
  const capabilities = { ...defaultCapabilities(), extensions: [10] };
  return Promise.all(
    Array.from({ length: count }, async () => {
      const identity = new TextEncoder().encode(user);
      const credential = { credentialType: 'basic', identity } as const;
      const { publicPackage } = await generateKeyPackage(credential, capabilities, defaultLifetime, extensions, suite);
      return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage: publicPackage });
    }),
  );
}
