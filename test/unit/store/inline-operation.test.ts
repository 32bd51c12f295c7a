import { expect, test } from 'vitest';
import type { Command } from '../../../domain/command.ts';
import { type InlineOperation, inlineOperation, requestJson } from '../../../store/decision/inline-operation.ts';

const base = { id: 'id', actor: 'alice', notAfter: 7 };
const bytes = { ciphertext: Buffer.from('c'), welcome: Buffer.from('w'), groupInfo: Buffer.from('g') };

function inline(command: Command): { readonly operation: InlineOperation; readonly bytes: string[] } {
  const all: Uint8Array[] = [];
  const operation = inlineOperation(command, (value) => all.push(value));
  return { operation, bytes: all.map((value) => Buffer.from(value).toString()) };
}

test('bytes go into the array of the call, and the operation names them by 1-based position', () => {
  const { operation, bytes: sent } = inline({ ...base, kind: 'commit', sha256: 'aa', epoch: 3, bytes });
  expect(operation.bytes).toEqual({ ciphertext: 1, welcome: 2, groupInfo: 3 });
  expect(sent).toEqual(['c', 'w', 'g']);
  const plain = inline({ ...base, kind: 'message', sha256: 'aa', bytes: { ciphertext: Buffer.from('m') } });
  expect(plain.operation).toEqual({ ...base, kind: 'message', sha256: 'aa', bytes: { ciphertext: 1 } });
});

test('the deciding function gets the facts of a commit under the names that stand in staged rows', () => {
  const facts = {
    adds: ['bob'],
    removes: ['carol'],
    welcomeRefs: ['01'],
    consumedRefs: ['02'],
    usersInTree: ['alice', 'bob'],
    usersLosingSomeLeaves: ['dave'],
    usersLosingAllLeaves: ['erin'],
    external: true,
  } as const;
  const command = { ...base, kind: 'commit', sha256: 'aa', ...facts } as const;
  const json = {
    adds: ['bob'],
    removes: ['carol'],
    refs: ['01'],
    uses: ['02'],
    leaves: ['alice', 'bob'],
    trimmed: ['dave'],
    dropped: ['erin'],
    external: true,
  };
  expect(requestJson(command)).toEqual(json);
  expect(inline({ ...command, waitedForReservation: true }).operation).toEqual({
    ...base,
    kind: 'commit',
    sha256: 'aa',
    deferred: true,
    ...json,
  });
});

test.each<Command>([
  { ...base, kind: 'read', seq: 4 },
  { ...base, kind: 'increment', by: 2 },
  { ...base, kind: 'role', user: 'bob', role: 'admin' },
  { ...base, kind: 'bar', user: 'bob', barred: true },
  { ...base, kind: 'policy', policy: { maxMembers: 9 } },
  { ...base, kind: 'reset', successor: 'next' },
  { ...base, kind: 'delete' },
])('%o is JSON as it is', (command) => {
  expect(inline(command)).toEqual({ operation: command, bytes: [] });
});
