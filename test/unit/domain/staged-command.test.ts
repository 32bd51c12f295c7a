import { expect, test } from 'vitest';
import type { Command } from '../../../domain/command.ts';
import { toStagedCommand } from '../../../domain/staged-command.ts';

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

const SMALL: readonly Command[] = [
  { ...base, kind: 'commit', adds: ['bob'] },
  { ...base, kind: 'commit', removes: ['bob'], epoch: 2 },
  { ...base, kind: 'leave' },
  { ...base, kind: 'read', seq: 4 },
  { ...base, kind: 'increment', by: 2 },
  { ...base, kind: 'role', user: 'bob', role: 'admin' },
  { ...base, kind: 'bar', user: 'bob', barred: true },
  { ...base, kind: 'policy', policy: { retentionDays: null } },
  { ...base, kind: 'reset', successor: 'next' },
  { ...base, kind: 'delete' },
];

test.each(SMALL)('%o has nothing to stage and travels whole', (command) => {
  expect(toStagedCommand(command, undefined)).toEqual(command);
});

test('bytes that were not staged never travel in an update', () => {
  for (const [command] of BY_REFERENCE.filter(([{ kind }]) => kind === 'message' || kind === 'group-info')) {
    expect(() => toStagedCommand(command, undefined)).toThrow(/were not staged/);
  }
  for (const kind of ['commit', 'leave'] as const) {
    expect(toStagedCommand({ ...base, kind, sha256: 'aa', bytes }, undefined)).not.toHaveProperty('bytes');
  }
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
      { id: 'id', kind: 'commit', size: 0, body: 9 },
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
  for (const kind of ['commit', 'leave'] as const) {
    expect(toStagedCommand({ ...plain, kind }, undefined)).toStrictEqual({ ...plain, kind });
  }
  expect(
    toStagedCommand({ ...plain, kind: 'commit', adds: ['carol'], waitedForReservation: true }, undefined),
  ).toStrictEqual({ ...plain, kind: 'commit', adds: ['carol'], deferred: true });
});

test('a command whose bytes could not be staged is refused by its kind', () => {
  const report: Command = { ...base, kind: 'report', seq: 1, epoch: 1, reason: SECRET };
  expect(() => toStagedCommand(report, undefined)).toThrow(
    new TypeError('The bytes of a command of kind report were not staged'),
  );
  expect(() => toStagedCommand({ ...base, kind: 'read' }, 9)).toThrow(
    new TypeError('A command of kind read has nothing to stage'),
  );
});
