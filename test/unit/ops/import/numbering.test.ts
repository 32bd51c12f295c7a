import { expect, test } from 'vitest';
import { conversationIdOf, messageIdOf, ownerOf } from '../../../../ops/import/ids.ts';
import { importOptions } from '../../../../ops/import/options.ts';
import { makeNumbering } from '../../../../ops/import/numbering.ts';

test('commits end consecutive epochs, and the last one starts the current epoch of the original', () => {
  // Epochs 3 and 5 have commits, 4 was started without one.
  const numbering = makeNumbering({ messages: 3, commits: 2, firstCommitEpoch: 3, currentEpoch: 5 }, 2);
  expect(numbering.next({ isCommit: false, epoch: 2, at: 7 })).toMatchObject({
    seq: 1,
    epoch: 3,
    appCount: 1,
    at: 7,
    isMoved: false,
  });
  expect(numbering.next({ isCommit: true, epoch: 3, at: 5 })).toMatchObject({ seq: 2, epoch: 3, appCount: 1, at: 7 });
  expect(numbering.next({ isCommit: true, epoch: 5, at: 9 })).toMatchObject({ seq: 3, epoch: 4, at: 9 });
  expect(numbering.place()).toEqual({ seq: 3, commitSeq: 3, epoch: 5, count: 1 });
});

test('more commits than epochs raise the epoch', () => {
  const numbering = makeNumbering({ messages: 2, commits: 2, firstCommitEpoch: 1, currentEpoch: 1 }, 2);
  numbering.next({ isCommit: true, epoch: 1, at: 1 });
  numbering.next({ isCommit: true, epoch: 1, at: 2 });
  expect(numbering.place().epoch).toBe(2);
});

test('a message of an epoch outside the window counts as one of the nearest epoch', () => {
  const numbering = makeNumbering({ messages: 3, commits: 0, firstCommitEpoch: 0, currentEpoch: 9 }, 2);
  expect(numbering.next({ isCommit: false, epoch: 8, at: 1 })).toMatchObject({ epoch: 8, isMoved: false });
  expect(numbering.next({ isCommit: false, epoch: 1, at: 1 })).toMatchObject({ epoch: 7, isMoved: true });
  expect(numbering.next({ isCommit: false, epoch: 12, at: 1 })).toMatchObject({ epoch: 9, isMoved: true });
});

test('ids of conversations are group ids in base64url, else the text of the id', () => {
  expect(conversationIdOf('00ff10', null)).toBe('AP8Q');
  expect(conversationIdOf('not-hex', '00FF10')).toBe('AP8Q');
  expect(conversationIdOf('not-hex', null)).toBe(Buffer.from('not-hex').toString('base64url'));
  expect(conversationIdOf('x'.repeat(65), null)).toBeUndefined();
  expect(conversationIdOf('00'.repeat(65), null)).toBeUndefined();
  expect(conversationIdOf('', null)).toBeUndefined();
});

test('a DID of a device is a user and a device', () => {
  expect(ownerOf('did:plc:a#phone', null, null)).toEqual({ user: 'did:plc:a', device: 'phone' });
  expect(ownerOf('did:plc:a', null, null)).toEqual({ user: 'did:plc:a', device: '' });
  expect(ownerOf('did:plc:a#x', 'did:plc:b', 'y')).toEqual({ user: 'did:plc:b', device: 'y' });
  expect(ownerOf('', null, null)).toBeUndefined();
});

test("a message keeps the client's id, or the id of its row", () => {
  expect(messageIdOf('row', 'client')).toBe('client');
  expect(messageIdOf('row', null)).toBe('row');
  expect(messageIdOf('row', 'ü')).toBe('row');
  expect(messageIdOf('', null)).toBeUndefined();
});

test('arguments of the import', () => {
  expect(importOptions(['--from', 'a'], { DATABASE_URL: 'b' })).toMatchObject({
    from: 'a',
    to: 'b',
    dryRun: false,
    parallel: 4,
  });
  expect(
    importOptions(['--from', 'a', '--to', 'c', '--dry-run', '--parallel', '8'], { DATABASE_URL: 'b' }),
  ).toMatchObject({
    to: 'c',
    parallel: 8,
  });
  expect(importOptions([], { ORIGINAL_DATABASE_URL: 'a', DATABASE_URL: 'b' })).toMatchObject({ from: 'a', to: 'b' });
  expect(() => importOptions([], { DATABASE_URL: 'b' })).toThrow('--from is missing');
  expect(() => importOptions(['--from', 'a'], {})).toThrow('--to is missing');
  expect(() => importOptions(['--from', 'a', '--parallel', '0'], { DATABASE_URL: 'b' })).toThrow('--parallel must be');
  expect(() => importOptions(['--from', 'a', '--retention-days', 'x'], { DATABASE_URL: 'b' })).toThrow(
    '--retention-days must be',
  );
});
