import { type ClientState, type Proposal, createApplicationMessage, createProposal } from 'ts-mls';
import { beforeAll, describe, expect, test } from 'vitest';
import { AppError } from '../../../domain/errors.ts';
import { checkCommit, checkLeaving, checkMessage, parseGroupInfo, parseWelcome } from '../../../mls/framing.ts';
import { bytesOf, infoWith, withContext } from '../../harness/mls/crafted-commit.ts';
import {
  SUITE,
  localGroup,
  makeBundle,
  newKeys,
  add,
  wire,
  groupInfoOf,
  wireGroupInfo,
} from '../../harness/mls/group.ts';

/** Which message may come on which route, read from its framing (RFC 9420 §6). */

let bob: ClientState;
let frames: Record<
  | 'application'
  | 'privateCommit'
  | 'publicCommit'
  | 'privateProposal'
  | 'selfRemoval'
  | 'otherRemoval'
  | 'selfRemove'
  | 'update'
  | 'welcome'
  | 'groupInfo',
  Buffer
>;

beforeAll(async () => {
  const { states } = await localGroup(['alice', 'bob', 'carol']);
  bob = states.get('bob') ?? expect.unreachable();
  const proposal = async (isPublic: boolean, one: Proposal): Promise<Buffer> =>
    bytesOf(wire((await createProposal(bob, isPublic, one, SUITE)).message));
  const removal = (removed: number): Proposal => ({ proposalType: 'remove', remove: { removed } });
  const { privateMessage } = await createApplicationMessage(bob, Buffer.from('hello'), SUITE);
  const hidden = await makeBundle(bob, [add(await newKeys('dave'))]);
  const selfRemove = await proposal(true, removal(1));
  frames = {
    application: bytesOf(wire({ wireformat: 'mls_private_message', privateMessage })),
    privateCommit: bytesOf(hidden.body.commit),
    publicCommit: bytesOf((await makeBundle(bob, [], { isPublic: true })).body.commit),
    privateProposal: await proposal(false, removal(1)),
    selfRemoval: selfRemove,
    otherRemoval: await proposal(true, removal(0)),
    selfRemove: withoutLeafIndex(selfRemove),
    update: await proposal(true, {
      proposalType: 'group_context_extensions',
      groupContextExtensions: { extensions: [] },
    }),
    welcome: bytesOf(hidden.body.welcome ?? ''),
    groupInfo: bytesOf(wireGroupInfo(await groupInfoOf(bob))),
  };
});

/** Turns a Remove into a SelfRemove, which has no content. */
function withoutLeafIndex(removal: Buffer): Buffer {
  // Version, wire format, group id, epoch, sender, authenticated data, content type.
  const at = 2 + 2 + 17 + 8 + 5 + 1 + 1;
  return Buffer.concat([removal.subarray(0, at), Buffer.of(0, 10), removal.subarray(at + 6)]);
}

const MLS = (): Parameters<typeof checkMessage>[0] => ({
  protocol: 'mls',
  groupId: Buffer.from(bob.groupContext.groupId),
});
const OPAQUE = { protocol: 'opaque', groupId: Buffer.alloc(16) } as const;
const noise = Buffer.from('noise');

function refusalOf(check: () => unknown): readonly unknown[] {
  try {
    throw new Error(`accepted: ${JSON.stringify(check())}`);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return [error.code, error.message, ...(Object.keys(error.details).length === 0 ? [] : [error.details])];
  }
}

/** A message of another epoch, in the eight bytes after the group id. */
function inEpoch(message: Buffer, epoch: bigint, offset: number): Buffer {
  const bytes = Buffer.from(message);
  bytes.writeBigUInt64BE(epoch, offset);
  return bytes;
}
const EPOCH_OFFSET = 2 + 2 + 17;

describe('the messages route', () => {
  const check = (bytes: Buffer, stated?: number): ReturnType<typeof checkMessage> => checkMessage(MLS(), bytes, stated);

  test('takes application messages and proposals, and names the latter', () => {
    expect(check(frames.application)).toStrictEqual({ framing: { epoch: 1 } });
    expect(check(frames.application, 1)).toStrictEqual({ framing: { epoch: 1 } });
    expect(check(frames.privateProposal)).toStrictEqual({ framing: { epoch: 1, type: 'proposal' } });
    expect(check(frames.selfRemoval)).toMatchObject({
      framing: { epoch: 1, type: 'proposal' },
      proposal: { sender: { type: 'member', leafIndex: 1 }, proposal: { type: 'remove', removed: 1 } },
    });
  });

  test('refuses everything else', () => {
    const elsewhere = ['wrong-content-type', 'Send a commit to the commits route of the conversation'];
    expect(refusalOf(() => check(frames.privateCommit))).toEqual(elsewhere);
    expect(refusalOf(() => check(frames.publicCommit))).toEqual(elsewhere);
    expect(refusalOf(() => check(frames.welcome))).toEqual(['wrong-content-type', 'A message is a welcome']);
    expect(refusalOf(() => check(frames.groupInfo))).toEqual(['wrong-content-type', 'A message is a group_info']);
    expect(refusalOf(() => check(noise))).toEqual([
      'malformed',
      'A message is not a valid MLSMessage: protocol version is not mls10 at byte 2',
    ]);
    expect(refusalOf(() => checkMessage({ ...MLS(), groupId: Buffer.alloc(16) }, frames.application, 1))).toEqual([
      'wrong-group',
      'The MLS message belongs to another group',
    ]);
    const shown = Buffer.from([0, 1, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    expect(refusalOf(() => check(shown))).toEqual([
      'wrong-content-type',
      'application data in a PublicMessage at byte 21',
    ]);
  });

  test('refuses an epoch that is not the stated one, or beyond all numbers', () => {
    expect(refusalOf(() => check(frames.application, 0))).toEqual([
      'malformed',
      'The request states epoch 0, but the MLS message is for epoch 1',
    ]);
    const far = inEpoch(frames.application, 2n ** 60n, EPOCH_OFFSET);
    expect(refusalOf(() => check(far))).toEqual([
      'epoch-ahead',
      'The epoch is ahead of the conversation',
      { submittedEpoch: 2 ** 60 },
    ]);
  });
});

describe('the route to leave', () => {
  const check = (bytes: Buffer, stated?: number): ReturnType<typeof checkLeaving> => checkLeaving(MLS(), bytes, stated);

  test('takes a proposal that removes its sender, and one that nobody can read', () => {
    expect(check(frames.selfRemoval)).toMatchObject({ framing: { epoch: 1 }, proposal: { contentType: 'proposal' } });
    expect(check(frames.selfRemove)).toMatchObject({ proposal: { proposal: { type: 'self_remove' } } });
    expect(check(frames.privateProposal, 1)).toStrictEqual({ framing: { epoch: 1 } });
  });

  test('refuses everything else', () => {
    const other = ['malformed', 'To leave, send a proposal that removes your own leaf'];
    expect(refusalOf(() => check(frames.otherRemoval))).toEqual(other);
    expect(refusalOf(() => check(frames.update))).toEqual(other);
    for (const bytes of [frames.selfRemoval, frames.selfRemove]) {
      const external = Buffer.from(bytes);
      // The sender is an external one with the same index, who has no membership tag.
      external.writeUInt8(2, EPOCH_OFFSET + 8);
      expect(refusalOf(() => check(external.subarray(0, -33)))).toEqual(other);
    }
    for (const bytes of [frames.application, frames.privateCommit, frames.publicCommit]) {
      expect(refusalOf(() => check(bytes))).toEqual(['wrong-content-type', 'To leave, send a proposal']);
    }
    expect(refusalOf(() => check(frames.welcome))).toEqual(['wrong-content-type', 'The proposal is a welcome']);
    expect(refusalOf(() => check(frames.selfRemoval, 3))).toEqual([
      'malformed',
      'The request states epoch 3, but the MLS message is for epoch 1',
    ]);
  });
});

describe('the commits route', () => {
  test('takes commits only', () => {
    for (const bytes of [frames.privateCommit, frames.publicCommit]) {
      expect(checkCommit(MLS(), bytes, 1)).toMatchObject({ framing: { epoch: 1 }, frame: { contentType: 'commit' } });
    }
    for (const bytes of [frames.application, frames.privateProposal, frames.selfRemoval]) {
      expect(refusalOf(() => checkCommit(MLS(), bytes, 1))).toEqual([
        'wrong-content-type',
        'This route accepts only commits',
      ]);
    }
    expect(refusalOf(() => checkCommit(MLS(), frames.welcome, 1))).toEqual([
      'wrong-content-type',
      'The commit is a welcome',
    ]);
  });
});

describe('a Welcome and a GroupInfo', () => {
  test('are what their fields say', () => {
    expect(parseWelcome(MLS(), frames.welcome)).toMatchObject({ cipherSuite: 1, newMembers: [expect.anything()] });
    expect(parseGroupInfo(MLS(), frames.groupInfo)).toMatchObject({ epoch: 1, cipherSuite: 1 });
    expect(refusalOf(() => parseWelcome(MLS(), frames.groupInfo))).toEqual([
      'welcome-mismatch',
      'The welcome field does not contain a Welcome',
    ]);
    expect(refusalOf(() => parseWelcome(MLS(), noise))).toEqual([
      'malformed',
      'The Welcome is not a valid MLSMessage: protocol version is not mls10 at byte 2',
    ]);
  });

  test('have an epoch that is a number', async () => {
    const far = bytesOf(await infoWith(bob, (info) => withContext(info, { epoch: 2n ** 53n })));
    expect(refusalOf(() => parseGroupInfo(MLS(), far))).toEqual([
      'epoch-ahead',
      'The epoch is ahead of the conversation',
      { submittedEpoch: 2 ** 53 },
    ]);
  });
});

describe('an opaque conversation', () => {
  test('takes any bytes, and the epoch that the request states', () => {
    for (const check of [checkMessage, checkLeaving, checkCommit]) {
      expect(check(OPAQUE, noise, undefined)).toStrictEqual({ framing: {} });
      expect(check(OPAQUE, noise, 0)).toStrictEqual({ framing: { epoch: 0 } });
      expect(check(OPAQUE, noise, Number.MAX_SAFE_INTEGER)).toStrictEqual({
        framing: { epoch: Number.MAX_SAFE_INTEGER },
      });
      expect(refusalOf(() => check(OPAQUE, noise, 2 ** 53))).toEqual([
        'epoch-ahead',
        'The epoch is ahead of the conversation',
        { submittedEpoch: 2 ** 53 },
      ]);
    }
    expect(parseWelcome(OPAQUE, noise)).toBeUndefined();
    expect(parseGroupInfo(OPAQUE, noise)).toBeUndefined();
  });
});
