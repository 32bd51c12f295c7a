import { expect, test } from 'vitest';
import type { Command } from '../../../domain/command.ts';
import { needsStaging, toStagedCommand } from '../../../domain/staged-command.ts';

const SECRET = 'mallory';
const bytes = { ciphertext: Buffer.from('bytes'), welcome: Buffer.from('w'), groupInfo: Buffer.from('info') };
const base = { id: 'id', actor: SECRET, notAfter: 7 };

/** Commands with the JSON that version 0.1.0 sends for them; 9 is the key of the staged row. */
const BY_REFERENCE: readonly (readonly [Command, object])[] = [
  [
    { ...base, kind: 'message', sha256: 'aa', epoch: 3, bytes },
    { id: 'id', kind: 'message', notAfter: 7, sha256: 'aa', size: 5, body: 9 },
  ],
  [
    { ...base, kind: 'message', type: 'proposal', sha256: 'aa', epoch: 3, bytes },
    { id: 'id', kind: 'message', notAfter: 7, type: 'proposal', sha256: 'aa', size: 5, body: 9 },
  ],
  [
    {
      ...base,
      kind: 'commit',
      sha256: 'aa',
      epoch: 3,
      adds: [SECRET],
      removes: [SECRET],
      usersInTree: [SECRET],
      bytes,
    },
    { id: 'id', kind: 'commit', notAfter: 7, sha256: 'aa', size: 5, body: 9 },
  ],
  [
    { ...base, kind: 'commit', sha256: 'aa', bytes, waitedForReservation: true },
    { id: 'id', kind: 'commit', notAfter: 7, sha256: 'aa', size: 5, deferred: true, body: 9 },
  ],
  [
    { ...base, kind: 'leave', sha256: 'aa', epoch: 3, bytes },
    { id: 'id', kind: 'leave', notAfter: 7, sha256: 'aa', size: 5, body: 9 },
  ],
  [
    { ...base, kind: 'group-info', epoch: 3, usersInTree: [SECRET], bytes },
    { id: 'id', kind: 'group-info', notAfter: 7, size: 4, body: 9 },
  ],
  [
    { ...base, kind: 'report', seq: 2, epoch: 3, reason: SECRET },
    { id: 'id', kind: 'report', notAfter: 7, size: SECRET.length, seq: 2, epoch: 3, body: 9 },
  ],
];

test.each(BY_REFERENCE)('%o travels without its sender, its users and its text (invariant 10)', (command, json) => {
  const staged = toStagedCommand(command, 9);
  expect(staged).toEqual(json);
  expect(JSON.stringify(staged)).not.toContain(SECRET);
});

/** Before version 0.3.0 these travelled whole. */
const CHANGES: readonly (readonly [Command, object])[] = [
  [
    { ...base, kind: 'commit', adds: [SECRET] },
    { id: 'id', kind: 'commit', notAfter: 7, size: 0, change: 'add', body: 9 },
  ],
  [
    { ...base, kind: 'commit', removes: [SECRET], epoch: 2, waitedForReservation: true },
    { id: 'id', kind: 'commit', notAfter: 7, size: 0, change: 'remove', deferred: true, body: 9 },
  ],
  [
    { ...base, kind: 'leave' },
    { id: 'id', kind: 'leave', notAfter: 7, size: 0, body: 9 },
  ],
  [
    { ...base, kind: 'role', user: SECRET, role: 'admin' },
    { id: 'id', kind: 'role', notAfter: 7, size: 0, body: 9 },
  ],
  [
    { ...base, kind: 'bar', user: SECRET, barred: true },
    { id: 'id', kind: 'bar', notAfter: 7, size: 0, body: 9 },
  ],
  [
    { ...base, kind: 'policy', policy: { retentionDays: null } },
    { id: 'id', kind: 'policy', notAfter: 7, size: 0, body: 9 },
  ],
  [
    { ...base, kind: 'reset', successor: SECRET },
    { id: 'id', kind: 'reset', notAfter: 7, size: 0, body: 9 },
  ],
  [
    { ...base, kind: 'delete' },
    { id: 'id', kind: 'delete', notAfter: 7, size: 0, body: 9 },
  ],
];

test.each(CHANGES)('%o is staged although it has no bytes: a late copy must find nothing', (command, json) => {
  expect(needsStaging(command)).toBe(true);
  const staged = toStagedCommand(command, 9);
  expect(staged).toStrictEqual(json);
  expect(JSON.stringify(staged)).not.toContain(SECRET);
  expect(() => toStagedCommand(command, undefined)).toThrow(/was not staged/);
});

test.each<Command>([
  { ...base, kind: 'read', seq: 4 },
  { ...base, kind: 'increment', by: 2 },
])('%o is not staged and travels whole', (command) => {
  expect(needsStaging(command)).toBe(false);
  expect(toStagedCommand(command, undefined)).toEqual(command);
});

test('bytes that were not staged never travel in an update', () => {
  for (const [command] of BY_REFERENCE) expect(() => toStagedCommand(command, undefined)).toThrow(/was not staged/);
});

test('fields that a command does not have do not travel either', () => {
  const plain = { id: 'id', actor: 'bob' };
  const commands: readonly (readonly [Command, object])[] = [
    [
      { ...plain, kind: 'message', sha256: 'aa', bytes },
      { id: 'id', kind: 'message', sha256: 'aa', size: 5, body: 9 },
    ],
    [
      { ...plain, kind: 'commit' },
      { id: 'id', kind: 'commit', size: 0, change: 'add', body: 9 },
    ],
    [
      { ...plain, kind: 'leave' },
      { id: 'id', kind: 'leave', size: 0, body: 9 },
    ],
    [
      { ...plain, kind: 'group-info', bytes: { ciphertext: bytes.ciphertext } },
      { id: 'id', kind: 'group-info', size: 0, body: 9 },
    ],
    [
      { ...plain, kind: 'report', seq: 2, epoch: 3, reason: 'four', epochAuthenticator: 'AAAA' },
      { id: 'id', kind: 'report', size: 8, seq: 2, epoch: 3, body: 9 },
    ],
  ];
  for (const [command, json] of commands) expect(toStagedCommand(command, 9)).toStrictEqual(json);
});

test('a command whose bytes could not be staged is refused by its kind', () => {
  const report: Command = { ...base, kind: 'report', seq: 1, epoch: 1, reason: SECRET };
  expect(() => toStagedCommand(report, undefined)).toThrow(new TypeError('A command of kind report was not staged'));
  expect(() => toStagedCommand({ ...base, kind: 'read' }, 9)).toThrow(
    new TypeError('A command of kind read has nothing to stage'),
  );
});
