import { beforeAll, describe, expect, test } from 'vitest';
import { FrameError, parseFrame, parseRatchetTree, RATCHET_TREE_EXTENSION } from '../../../mls/frame.ts';
import { vector } from '../../../mls/vector.ts';
import { MAX_MEMBERS_LIMIT, MAX_TREE_LEAVES } from '../../../domain/limits.ts';
import type { Frame } from '../../../mls/frame.ts';
import { decodeWhole, facts, frameFacts } from '../../harness/mls/frame-facts.ts';
import type { NamedFrame } from '../../harness/mls/mls-frames.ts';
import { makeFrames } from '../../harness/mls/mls-frames.ts';

let corpus: NamedFrame[];

beforeAll(async () => {
  corpus = (await Promise.all([2, 3, 6].map(makeFrames))).flat();
});

function accept(bytes: Uint8Array): Frame {
  const frame = parseFrame(bytes);
  if (frame instanceof FrameError) throw frame;
  return frame;
}

/** Matches a FrameError whose message contains `reason`. */
const refusal =
  (reason: string) =>
  (result: unknown): boolean =>
    result instanceof FrameError && result.message.includes(reason);

describe('parseFrame', () => {
  test('reads every kind of message that ts-mls creates, with the same fields', () => {
    expect(corpus.length).toBeGreaterThan(100);
    for (const { name, bytes } of corpus) {
      const message = decodeWhole(bytes);
      if (message === undefined) throw new Error(`ts-mls does not read its own ${name}`);
      expect(frameFacts(accept(bytes)), name).toEqual(facts(message));
    }
  });

  test('refuses every truncation and every extension of every message', () => {
    for (const { name, bytes } of corpus) {
      for (let length = 0; length < bytes.length; length++) {
        expect(parseFrame(bytes.subarray(0, length)), `${name} cut to ${length}`).toBeInstanceOf(FrameError);
      }
      for (const extra of [[0], [1], [0, 0], [0x40, 0]]) {
        expect(parseFrame(Buffer.concat([bytes, Buffer.from(extra)])), name).toBeInstanceOf(FrameError);
      }
    }
  });

  test('refuses lengths that are not minimal and the 8-byte prefix', () => {
    const message = (groupId: number[]): Uint8Array => Uint8Array.from([0, 1, 0, 2, ...groupId, ...tail]);
    const tail = [0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0];
    expect(accept(message([1, 9]))).toMatchObject({ groupId: Uint8Array.of(9), epoch: 5, contentType: 'application' });
    expect(accept(message([0x40, 64, ...Array<number>(64).fill(7)]))).toMatchObject({ epoch: 5 });
    for (const groupId of [
      [0x40, 1, 9],
      [0x80, 0, 0, 1, 9],
      [0x80, 0, 0, 64, ...Array<number>(64).fill(7)],
    ]) {
      expect(parseFrame(message(groupId))).toSatisfy(refusal('length is not minimal'));
    }
    const eight = parseFrame(message([0xc0, 0, 0, 0, 0, 0, 0, 1, 9]));
    expect(eight).toMatchObject({ message: 'length prefix 0b11 is not allowed at byte 5', offset: 5 });
  });

  test('returns `beyond` for epochs above 2^53 - 1', () => {
    const message = (epoch: bigint): Uint8Array => {
      const bytes = Buffer.from([0, 1, 0, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
      bytes.writeBigUInt64BE(epoch, 6);
      return bytes;
    };
    expect(accept(message(2n ** 53n - 1n))).toMatchObject({ epoch: Number.MAX_SAFE_INTEGER, contentType: 'commit' });
    expect(accept(message(2n ** 32n + 1n))).toMatchObject({ epoch: 4_294_967_297 });
    expect(accept(message(2n ** 53n))).toMatchObject({ epoch: 'beyond' });
    expect(accept(message(2n ** 64n - 1n))).toMatchObject({ epoch: 'beyond' });
  });

  test('refuses application data in a PublicMessage and senders that do not fit the content', () => {
    const message = (...body: number[]): FrameError | Frame =>
      parseFrame(Uint8Array.from([0, 1, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 5, ...body]));
    const member = [1, 0, 0, 0, 0];
    expect(message(...member, 0, 1, 0, 0, 0)).toSatisfy(refusal('application data'));
    expect(message(4, 0, 2, 0, 3, 0, 0, 0, 0, 0)).toSatisfy(refusal('does not fit'));
    expect(message(2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0)).toSatisfy(refusal('does not fit'));
    expect(message(3, 0, 2, 0, 3, 0, 0, 0, 0, 0)).toSatisfy(refusal('does not fit'));
    expect(message(...member, 0, 2, 0, 10, 0, 0)).toMatchObject({ proposal: { type: 'self_remove' } });
  });

  test.each([
    ['new members', MAX_MEMBERS_LIMIT, welcomeFor],
    ['proposals', MAX_MEMBERS_LIMIT, (count: number) => commitOf({ proposals: count })],
    ['nodes in a path', 32, (count: number) => commitOf({ pathNodes: count })],
    ['ciphertexts in a path node', MAX_TREE_LEAVES, (count: number) => commitOf({ pathNodes: 1, ciphertexts: count })],
    ['capabilities', 256, (count: number) => commitOf({ pathNodes: 0, capabilities: count })],
    ['extensions', 256, (count: number) => commitOf({ pathNodes: 0, extensions: count })],
    ['certificates', 256, (count: number) => commitOf({ pathNodes: 0, certificates: count })],
    ['nodes in a ratchet tree', 2 * MAX_TREE_LEAVES - 1, treeOf],
  ])('reads lists of %s up to their limit, and stops there in longer ones', (_, limit, make) => {
    const parse = make === treeOf ? parseRatchetTree : parseFrame;
    expect(parse(make(limit))).not.toBeInstanceOf(FrameError);
    expect(parse(make(limit + 1))).toSatisfy(refusal('too many elements'));
    // The parser reads as much of a list that is ten times as long.
    expect(offsetOf(parse(make(10 * limit)))).toBeLessThanOrEqual(offsetOf(parse(make(limit + 1))) + 8);
  });

  test('reads the head of a private message only, however long its ciphertext is', () => {
    const short = readsOf(privateMessage(64));
    expect(short).toBeLessThan(64);
    // A longer vector has a longer length, of 4 bytes at most (RFC 9420 §2.1.2).
    expect(readsOf(privateMessage(4 * 1024 * 1024))).toBeLessThanOrEqual(short + 4);
  });
});

describe('parseRatchetTree', () => {
  test('returns the leaves of a GroupInfo and refuses hidden nodes', () => {
    const info = accept(
      corpus.find(({ name }) => name === 'group info with tree, 3 members')?.bytes ?? new Uint8Array(),
    );
    if (info.wireFormat !== 'group_info') throw new Error('not a GroupInfo');
    const tree = info.extensions.find(({ type }) => type === RATCHET_TREE_EXTENSION)?.data ?? new Uint8Array();
    const nodes = parseRatchetTree(tree);
    if (nodes instanceof FrameError) throw nodes;
    const names = nodes.leaves.map((leaf) => new TextDecoder().decode(leaf?.identity));
    expect(names).toEqual(['user-0', 'user-1', 'user-2']);
    for (let length = 0; length < tree.length; length++) {
      expect(parseRatchetTree(tree.subarray(0, length))).toBeInstanceOf(FrameError);
    }
    expect(parseRatchetTree(Buffer.concat([tree, Buffer.from([0])]))).toBeInstanceOf(FrameError);
    const parentFirst = Uint8Array.of(5, 1, 2, 0, 0, 0);
    expect(parseRatchetTree(parentFirst)).toMatchObject({ message: 'node in the wrong place at byte 6' });
    expect(parseRatchetTree(Uint8Array.of(1, 0))).toMatchObject({ message: 'the last node is blank at byte 2' });
  });
});

const offsetOf = (result: unknown): number => (result instanceof FrameError ? result.offset : Infinity);
/** A vector of elements that are all equal. */
const listOf = (count: number, element: readonly number[] | Buffer): Buffer =>
  vector(Buffer.alloc(count * element.length, Buffer.from(element)));

/** A Welcome whose secrets are all empty. */
function welcomeFor(count: number): Uint8Array {
  return Buffer.concat([Buffer.from([0, 1, 0, 3, 0, 1]), listOf(count, [0, 0, 0]), Buffer.from([0])]);
}

/** A public commit of a member with SelfRemove proposals, and with a path if `pathNodes` is there. */
function commitOf({
  proposals = 0,
  pathNodes,
  ciphertexts = 0,
  capabilities = 0,
  extensions = 0,
  certificates,
}: {
  readonly proposals?: number;
  readonly pathNodes?: number;
  readonly ciphertexts?: number;
  readonly capabilities?: number;
  readonly extensions?: number;
  readonly certificates?: number;
}): Uint8Array {
  const head = [0, 1, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 3];
  const credential =
    certificates === undefined ? [Buffer.from([0, 1, 0])] : [Buffer.from([0, 2]), listOf(certificates, [0])];
  const leaf = [
    Buffer.from([0, 0]),
    ...credential,
    listOf(capabilities, [0, 1]),
    Buffer.from([0, 0, 0, 0, 3, 0]),
    listOf(extensions, [0, 9, 0]),
    Buffer.from([0]),
  ];
  const node = Buffer.concat([Buffer.from([0]), listOf(ciphertexts, [0, 0])]);
  const path = pathNodes === undefined ? [Buffer.from([0])] : [Buffer.from([1]), ...leaf, listOf(pathNodes, node)];
  return Buffer.concat([Buffer.from(head), listOf(proposals, [1, 0, 10]), ...path, Buffer.from([0, 0, 0])]);
}

/** A ratchet tree with blank nodes and one leaf in the last place that can have one. */
function treeOf(count: number): Uint8Array {
  const leaf = [1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0];
  const parent = [1, 2, 0, 0, 0];
  return vector(Buffer.concat([Buffer.alloc(count - 1), Buffer.from(count % 2 === 1 ? leaf : parent)]));
}

/** A well-formed PrivateMessage (RFC 9420 §6.3) of an application message. */
function privateMessage(ciphertextBytes: number): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32BE((0x8000_0000 | ciphertextBytes) >>> 0);
  const shortest =
    ciphertextBytes < 0x4000 ? Buffer.from([0x40 | (ciphertextBytes >> 8), ciphertextBytes & 255]) : length;
  const head = [0, 1, 0, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 1, 7];
  return Buffer.concat([Buffer.from(head), shortest, Buffer.alloc(ciphertextBytes)]);
}

/** How many bytes of a message the parser looks at. */
function readsOf(message: Uint8Array): number {
  let reads = 0;
  const counting = new Proxy(message, {
    get: (target, name): unknown => {
      if (typeof name === 'string' && /^\d+$/.test(name)) reads++;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  expect(parseFrame(counting)).toMatchObject({ wireFormat: 'private_message' });
  return reads;
}
