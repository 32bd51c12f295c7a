import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { suiteOf } from '../../mls/suite.ts';
import { encodeRatchetTree, readRatchetTree } from '../../mls/tree/ratchet-tree.ts';
import { rootHash, treeHashes } from '../../mls/tree/tree-hash.ts';
import { uint32, vector } from '../../mls/vector.ts';

/** A GroupInfo of suite 1 with as many leaves as one wants, and real signatures: ts-mls would need hours for 10,000. */
export interface SyntheticGroup {
  readonly groupId: Buffer;
  readonly groupInfo: Buffer;
  readonly user: string;
}

const SUITE = suiteOf(1);

interface Signer {
  readonly privateKey: KeyObject;
  readonly publicKey: Buffer;
}

function newSigner(): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { privateKey, publicKey: publicKey.export({ format: 'der', type: 'spki' }).subarray(-32) };
}

function signed(label: string, content: Buffer, { privateKey }: Signer): Buffer {
  const tbs = Buffer.concat([vector(Buffer.from(`MLS 1.0 ${label}`)), vector(content)]);
  return vector(sign(null, tbs, privateKey));
}

/** A leaf from a key package (RFC 9420 §7.2). */
function leaf(user: string, signer: Signer): Buffer {
  const u16s = (...values: number[]): Buffer => vector(Buffer.concat(values.map((value) => Buffer.of(0, value))));
  const content = Buffer.concat([
    vector(randomBytes(32)),
    vector(signer.publicKey),
    Buffer.of(0, 1),
    vector(Buffer.from(user)),
    u16s(1),
    u16s(1),
    u16s(),
    u16s(),
    u16s(1),
    Buffer.of(1),
    Buffer.alloc(8),
    Buffer.alloc(8, 0x7f),
    vector(Buffer.alloc(0)),
  ]);
  return Buffer.concat([content, signed('LeafNodeTBS', content, signer)]);
}

/** @param change changes the encoded leaves before they go into the tree */
export function syntheticGroup(size: number, change: (leaves: Buffer[]) => void = () => undefined): SyntheticGroup {
  if (SUITE === undefined) throw new Error('suite 1 is known');
  const owner = newSigner();
  const leaves = Array.from({ length: size }, (_, i) => leaf(`user-${i}`, i === 0 ? owner : newSigner()));
  change(leaves);
  const nodes = leaves.flatMap((bytes, i) => [
    ...(i === 0 ? [] : [Buffer.of(0)]),
    Buffer.concat([Buffer.of(1, 1), bytes]),
  ]);
  const tree = readRatchetTree(vector(Buffer.concat(nodes)));
  const groupId = randomBytes(16);
  const treeHash = rootHash(tree, treeHashes(tree, SUITE));
  const context = Buffer.concat([
    Buffer.of(0, 1, 0, 1),
    vector(groupId),
    Buffer.alloc(7),
    Buffer.of(1),
    vector(treeHash),
    vector(randomBytes(32)),
    vector(Buffer.alloc(0)),
  ]);
  const externalPub = generateKeyPairSync('x25519').publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  const extension = (type: number, data: Buffer): Buffer => Buffer.concat([Buffer.of(0, type), vector(data)]);
  const extensions = Buffer.concat([extension(2, encodeRatchetTree(tree)), extension(4, vector(externalPub))]);
  const content = Buffer.concat([context, vector(extensions), vector(randomBytes(32)), uint32(0)]);
  const groupInfo = Buffer.concat([Buffer.of(0, 1, 0, 4), content, signed('GroupInfoTBS', content, owner)]);
  return { groupId, groupInfo, user: 'user-0' };
}
