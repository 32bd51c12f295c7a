import { keyPackageRef } from '../../../mls/key-package-ref.ts';
import { parseFrame } from '../../../mls/frame.ts';
import { vector } from '../../../mls/vector.ts';

/** A commit that adds many users, and its Welcome. They are well-formed and small: keys, signatures and secrets are empty. */
export interface LargeCommit {
  readonly commit: string;
  readonly welcome: string;
  readonly adds: readonly string[];
}

const NOTHING = Buffer.from([0]);
const MLS_10 = Buffer.from([0, 1]);
const SUITE = Buffer.from([0, 1]);

/**
 * @param groupId of the conversation, which is in epoch 0
 * @param count added users, each with one key package
 */
export function makeLargeCommit(groupId: Buffer, count: number): LargeCommit {
  const adds = Array.from({ length: count }, (_, n) => `user-${n}`);
  const packages = adds.map(keyPackageOf);
  const proposals = packages.map((keyPackage) => Buffer.concat([Buffer.from([1, 0, 1]), keyPackage]));
  const commit = Buffer.concat([
    MLS_10,
    Buffer.from([0, 1]), // public_message
    vector(groupId),
    Buffer.alloc(8), // epoch
    Buffer.from([1, 0, 0, 0, 0]), // the member with leaf 0
    NOTHING, // authenticated data
    Buffer.from([3]), // a commit
    vector(Buffer.concat(proposals)),
    NOTHING, // no path
    vector(Buffer.alloc(64)), // signature
    vector(Buffer.alloc(32)), // confirmation tag
    vector(Buffer.alloc(32)), // membership tag
  ]);
  const secrets = packages.map((keyPackage) => Buffer.concat([vector(refOf(keyPackage)), NOTHING, NOTHING]));
  const welcome = Buffer.concat([MLS_10, Buffer.from([0, 3]), SUITE, vector(Buffer.concat(secrets)), NOTHING]);
  return { commit: commit.toString('base64'), welcome: welcome.toString('base64'), adds };
}

function keyPackageOf(user: string, index: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32BE(index);
  const leaf = Buffer.concat([
    vector(key), // encryption key
    vector(key), // signature key
    Buffer.from([0, 1]), // a basic credential
    vector(Buffer.from(user)),
    Buffer.from([2, 0, 1, 2, 0, 1, 0, 0, 2, 0, 1]), // capabilities
    Buffer.from([1]), // of a key package
    Buffer.alloc(8), // not before
    Buffer.alloc(8, 0x7f), // not after
    NOTHING, // extensions
    NOTHING, // signature
  ]);
  // Empty: the init key, the extensions and the signature.
  return Buffer.concat([MLS_10, SUITE, NOTHING, leaf, NOTHING, NOTHING]);
}

function refOf(keyPackage: Buffer): Buffer {
  const frame = parseFrame(Buffer.concat([MLS_10, Buffer.from([0, 5]), keyPackage]));
  if (frame instanceof Error) throw frame;
  const ref = frame.wireFormat === 'key_package' ? keyPackageRef(frame.keyPackage) : undefined;
  if (ref === undefined) throw new Error('The key package has no ref');
  return Buffer.from(ref, 'hex');
}
