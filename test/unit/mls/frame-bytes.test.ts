import { describe, expect, test } from 'vitest';
import { FrameError, type Frame, parseFrame, parseRatchetTree } from '../../../mls/frame.ts';

/** What the parser says about bytes that are no message, and where it stops. */

const vector = (...bytes: number[]): number[] => [bytes.length, ...bytes];
const EPOCH = [0, 0, 0, 0, 0, 0, 0, 5];
const MEMBER = [1, 0, 0, 0, 7];
const PUBLIC = [0, 1, 0, 1, 1, 9, ...EPOCH];
/** A leaf of this source: keys, a basic credential, capabilities, what belongs to the source, extensions, signature. */
const leaf = (source: number, ...content: number[]): number[] => [
  ...[0, 0, 0, 1, 1, 9],
  ...[0, 0, 0, 0, 0],
  ...[source, ...content, 0, 0],
];
const LIFETIME = [...EPOCH, ...EPOCH];
const keyPackage = (leafNode: number[]): number[] => [0, 1, 0, 1, 0, ...leafNode, 0, 0];
/** A proposal of a member, with its signature and membership tag. */
const proposal = (...content: number[]): number[] => [...PUBLIC, ...MEMBER, 0, 2, ...content, 0, 0];
/** A commit of a member: proposals, path, signature, confirmation tag and membership tag. */
const commit = (proposals: number[], path: number[]): number[] => [
  ...PUBLIC,
  ...MEMBER,
  ...[0, 3, ...vector(...proposals), ...path],
  ...[0, 0, 0],
];
const psk = (...content: number[]): number[] => proposal(0, 4, ...content);

const parse = (bytes: number[]): Frame | FrameError => parseFrame(Uint8Array.from(bytes));

describe('a message is refused', () => {
  test.each<[reason: string, bytes: number[]]>([
    ['truncated at byte 0', []],
    ['truncated at byte 1', [0]],
    ['protocol version is not mls10 at byte 2', [0, 2, 0, 1]],
    ['unknown wire format at byte 4', [0, 1, 0, 0]],
    ['unknown wire format at byte 4', [0, 1, 0, 6]],
    ['truncated at byte 5', [0, 1, 0, 2, 1]],
    ['trailing bytes at byte 18', [0, 1, 0, 2, 1, 9, ...EPOCH, 1, 0, 0, 0, 0]],
    ['unknown content type at byte 15', [0, 1, 0, 2, 1, 9, ...EPOCH, 0, 0, 0, 0]],
    ['unknown content type at byte 15', [0, 1, 0, 2, 1, 9, ...EPOCH, 4, 0, 0, 0]],
    ['unknown sender type at byte 15', [...PUBLIC, 0]],
    ['unknown sender type at byte 15', [...PUBLIC, 5]],
    ['application data in a PublicMessage at byte 21', [...PUBLIC, ...MEMBER, 0, 1]],
    ['sender does not fit the content at byte 21', [...PUBLIC, 2, 0, 0, 0, 0, 0, 3, 0]],
    ['sender does not fit the content at byte 17', [...PUBLIC, 3, 0, 3, 0]],
    ['sender does not fit the content at byte 17', [...PUBLIC, 4, 0, 2, 0]],
    ['sender does not fit the proposal at byte 23', [...PUBLIC, 3, 0, 2, 0, 3, 0, 0, 0, 0]],
    ['neither proposal nor reference at byte 23', commit([0], [0])],
    ['neither proposal nor reference at byte 23', commit([3], [0])],
    ['presence octet is neither 0 nor 1 at byte 23', commit([], [2])],
    ['leaf node source is not commit at byte 35', commit([], [1, ...leaf(2)])],
    ['leaf node source is not update at byte 35', proposal(0, 2, ...leaf(3, 0))],
    ['unknown leaf node source at byte 35', proposal(0, 2, ...leaf(0))],
    ['unknown leaf node source at byte 35', proposal(0, 2, ...leaf(4))],
    ['leaf node source is not key_package at byte 21', [0, 1, 0, 5, ...keyPackage(leaf(2))]],
    ['protocol version is not mls10 at byte 6', [0, 1, 0, 5, 0, 3]],
    ['protocol version is not mls10 at byte 6', [0, 1, 0, 4, 0, 3]],
    ['unknown PSK type at byte 24', psk(0)],
    ['unknown PSK type at byte 24', psk(3)],
    ['unknown resumption PSK usage at byte 25', psk(2, 0, 0, ...EPOCH, 0)],
    ['unknown resumption PSK usage at byte 25', psk(2, 4, 0, ...EPOCH, 0)],
    ['length is not minimal at byte 6', [0, 1, 0, 2, 0x40, 0x3f]],
    ['length is not minimal at byte 8', [0, 1, 0, 2, 0x80, 0, 0x3f, 0xff]],
    ['length prefix 0b11 is not allowed at byte 5', [0, 1, 0, 2, 0xc0]],
    // An element ends within its list.
    ['truncated at byte 23', [...PUBLIC, ...MEMBER, 0, 3, 1, 2, 0, 0, 0, 0, 0]],
  ])('%s', (reason, bytes) => {
    const refused = parse(bytes);
    expect(refused).toBeInstanceOf(FrameError);
    expect(refused).toMatchObject({ name: 'FrameError', message: reason, offset: Number(/\d+$/.exec(reason)?.[0]) });
  });
});

describe('a ratchet tree is refused', () => {
  test.each<[reason: string, bytes: number[]]>([
    ['truncated at byte 0', []],
    ['unknown node type at byte 3', vector(1, 0)],
    ['unknown node type at byte 3', vector(1, 3)],
    ['node in the wrong place at byte 6', vector(1, 2, 0, 0, 0)],
    ['the last node is blank at byte 1', vector()],
    ['the last node is blank at byte 3', vector(0, 0)],
    ['trailing bytes at byte 17', [...vector(1, 1, ...leaf(2)), 0]],
    ['node in the wrong place at byte 33', vector(1, 1, ...leaf(2), 1, 1, ...leaf(2))],
  ])('%s', (reason, bytes) => {
    expect(parseRatchetTree(Uint8Array.from(bytes))).toMatchObject({ name: 'FrameError', message: reason });
  });

  test('and nothing else: blank nodes stand anywhere but at the end', () => {
    const tree = parseRatchetTree(Uint8Array.from(vector(0, 0, 1, 1, ...leaf(2), 1, 2, 1, 7, 1, 8, 4, 0, 0, 1, 2)));
    expect(tree).toMatchObject({
      leaves: [undefined, { source: 'update' }],
      parents: [
        undefined,
        {
          encryptionKey: Uint8Array.of(7),
          parentHash: Uint8Array.of(8),
          unmergedLeaves: [258],
          bytes: Uint8Array.of(1, 7, 1, 8, 4, 0, 0, 1, 2),
        },
      ],
    });
  });
});

describe('a message is read', () => {
  test.each<[what: string, bytes: number[], read: object]>([
    ['a pre-shared key of an application', psk(1, 2, 7, 7, 1, 8), { proposal: { type: 'psk' } }],
    ...[1, 2, 3].map((usage): [string, number[], object] => [
      `a pre-shared key of a group, usage ${usage}`,
      psk(2, usage, 1, 7, 255, ...EPOCH.slice(1), 1, 8),
      { proposal: { type: 'psk' } },
    ]),
    [
      'a reinit with any version and suite',
      proposal(0, 5, 1, 7, 9, 9, 8, 8, 4, 0, 1, 1, 7),
      { proposal: { type: 'reinit' } },
    ],
    ['an ExternalInit', proposal(0, 6, 2, 7, 7), { proposal: { type: 'external_init' } }],
    [
      'a change of extensions',
      proposal(0, 7, 4, 0, 1, 1, 7),
      { proposal: { type: 'group_context_extensions', extensions: Uint8Array.of(4, 0, 1, 1, 7) } },
    ],
    ['a SelfRemove', proposal(0, 10), { proposal: { type: 'self_remove' } }],
    [
      'a custom proposal',
      proposal(0xf0, 0, 2, 7, 7),
      { proposal: { type: 'custom', proposalType: 0xf000 }, sender: { type: 'member', leafIndex: 7 } },
    ],
    ['a Remove', proposal(0, 3, 1, 2, 3, 4), { proposal: { type: 'remove', removed: 0x01020304 } }],
    [
      'an Update with a certificate chain',
      proposal(0, 2, ...[0, 0, 0, 2, 3, 0, 1, 7], ...[0, 0, 0, 0, 0], ...[2, 0, 0]),
      { proposal: { type: 'update', leaf: { credentialType: 2, identity: undefined, source: 'update' } } },
    ],
    [
      'an Update with a credential of another type',
      proposal(0, 2, ...[0, 0, 0xf0, 0, 3, 9, 9, 9], ...[0, 0, 0, 0, 0], ...[2, 0, 0]),
      { proposal: { type: 'update', leaf: { credentialType: 0xf000, identity: undefined, lifetime: undefined } } },
    ],
    [
      'an Add',
      proposal(0, 1, ...keyPackage(leaf(1, ...LIFETIME))),
      {
        proposal: {
          type: 'add',
          keyPackage: {
            leaf: { source: 'key_package', lifetime: { notBefore: 5, notAfter: 5 }, parentHash: undefined },
          },
        },
      },
    ],
    [
      'an external proposal',
      [...PUBLIC, 2, 0, 0, 1, 0, 0, 2, 0, 10, 0],
      { sender: { type: 'external', senderIndex: 256 }, contentType: 'proposal' },
    ],
    [
      'a proposal of a new member, which is an Add',
      [...PUBLIC, 3, 0, 2, 0, 1, ...keyPackage(leaf(1, ...LIFETIME)), 0],
      { sender: { type: 'new_member_proposal' } },
    ],
    [
      'an external commit, which has no membership tag',
      [...PUBLIC, 4, 0, 3, 0, 0, 1, 7, 1, 8],
      {
        sender: { type: 'new_member_commit' },
        signature: Uint8Array.of(7),
        confirmationTag: Uint8Array.of(8),
        signed: Uint8Array.from([...PUBLIC, 4, 0, 3, 0, 0]),
        transcript: Uint8Array.from([...PUBLIC.slice(2), 4, 0, 3, 0, 0, 1, 7]),
      },
    ],
    [
      'a commit with a reference and a path',
      commit([2, 2, 7, 7, 1, 0, 10], [1, ...leaf(3, 1, 5), ...vector(1, 6, 0, 0, ...vector(1, 1, 1, 1))]),
      {
        proposals: [{ type: 'reference', reference: Uint8Array.of(7, 7) }, { type: 'self_remove' }],
        path: { source: 'commit', parentHash: Uint8Array.of(5), identity: Uint8Array.of(9) },
        pathKeys: [Uint8Array.of(6), Uint8Array.of()],
      },
    ],
    ['a commit without a path', commit([], [0]), { proposals: [], path: undefined, pathKeys: [] }],
    [
      'a Welcome',
      [0, 1, 0, 3, 0, 1, ...vector(1, 7, 1, 1, 1, 1, 1, 8, 0, 0), 2, 9, 9],
      { wireFormat: 'welcome', cipherSuite: 1, newMembers: [Uint8Array.of(7), Uint8Array.of(8)] },
    ],
    [
      'a GroupInfo',
      [
        ...[0, 1, 0, 4],
        ...[0, 1, 0, 3, 1, 9, ...EPOCH, 1, 7, 1, 8, 4, 0, 1, 1, 6],
        ...[4, 0, 4, 1, 5, 1, 4, 0, 0, 1, 0, 1, 3],
      ],
      {
        wireFormat: 'group_info',
        cipherSuite: 3,
        groupId: Uint8Array.of(9),
        epoch: 5,
        treeHash: Uint8Array.of(7),
        confirmedTranscriptHash: Uint8Array.of(8),
        context: Uint8Array.from([0, 1, 0, 3, 1, 9, ...EPOCH, 1, 7, 1, 8, 4, 0, 1, 1, 6]),
        contextExtensions: Uint8Array.of(4, 0, 1, 1, 6),
        extensions: [{ type: 4, data: Uint8Array.of(5) }],
        confirmationTag: Uint8Array.of(4),
        signer: 256,
        signature: Uint8Array.of(3),
      },
    ],
    [
      'numbers up to the largest',
      [0, 1, 0, 5, ...keyPackage(leaf(1, ...Array<number>(16).fill(255)))],
      { keyPackage: { leaf: { lifetime: { notBefore: 2 ** 64, notAfter: 2 ** 64 } } } },
    ],
    [
      'a vector of 16,384 bytes',
      [0, 1, 0, 2, 0x80, 0, 0x40, 0, ...Array<number>(0x4000).fill(7), ...EPOCH, 1, 0, 0, 0],
      { epoch: 5 },
    ],
    [
      'a vector of 65,536 bytes and more',
      [0, 1, 0, 2, 0x80, 1, 0, 1, ...Array<number>(0x1_0001).fill(7), ...EPOCH, 1, 0, 0, 0],
      { epoch: 5 },
    ],
  ])('%s', (_what, bytes, read) => {
    expect(parse(bytes)).toMatchObject(read);
  });
});
