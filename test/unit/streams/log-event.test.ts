import { expect, test } from 'vitest';
import type { LogEntry } from '../../../domain/log-entry.ts';
import { entryJson } from '../../../streams/entry-json.ts';
import { LogEvent } from '../../../streams/log-event.ts';

const entry: LogEntry = {
  seq: 3,
  kind: 'commit',
  id: 'id',
  epoch: 1,
  // A part of a larger buffer.
  ciphertext: new Uint8Array([0, 1, 2, 3]).subarray(1),
  isDeleted: false,
  sender: 'alice',
  at: new Date(0),
  sha256: new Uint8Array(32),
  chain: new Uint8Array(32).fill(1),
};

test('both kinds of streams send the entry as pages show it', () => {
  const log = new LogEvent('AAAA', { type: 'entry', seq: 3, key: 0, entry });
  const json = {
    seq: 3,
    kind: 'commit',
    id: 'id',
    epoch: 1,
    ciphertext: 'AQID',
    sender: 'alice',
    at: '1970-01-01T00:00:00.000Z',
    chain: 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=',
  };
  expect(entryJson(entry)).toEqual(json);
  expect(log.forConversation).toBe(`event: entry\nid: 3.AQEBAQEBAQEBAQEB\ndata: ${JSON.stringify(json)}\n\n`);
  expect(log.forAccount).toBe(`event: entry\ndata: ${JSON.stringify({ conversation: 'AAAA', entry: json })}\n\n`);
});

test('an expired entry has its place and its hash only, and an unknown sender is left out', () => {
  const left = { seq: 3, kind: 'commit', epoch: 1, sha256: '00'.repeat(32), chain: entryJson(entry).chain };
  expect(entryJson({ ...entry, ciphertext: null })).toEqual({ ...left, expired: true });
  expect(entryJson({ ...entry, ciphertext: null, isDeleted: true })).toEqual({ ...left, deleted: true });
  expect(entryJson({ ...entry, sender: null })).not.toHaveProperty('sender');
});

test('changes are events of account streams only, and those of a newer release have no text', () => {
  const added = new LogEvent('AAAA', {
    type: 'change',
    seq: 2,
    key: 7,
    change: { kind: 'added', users: ['bob', 'carol'], count: 2 },
  });
  expect(added.forConversation).toBe('');
  expect(added.forAccount).toBe(
    ['bob', 'carol']
      .map((user) => `event: member\ndata: {"conversation":"AAAA","seq":2,"user":"${user}","change":"added"}\n\n`)
      .join(''),
  );
  const unknown = new LogEvent('AAAA', { type: 'change', seq: 2, key: 8, change: { kind: 'unknown' } });
  expect([unknown.forConversation, unknown.forAccount]).toEqual(['', '']);
});

test('a change that removes thousands of users is searched once, however many streams ask whether it removes theirs', () => {
  const users = Array.from({ length: 2000 }, (_, n) => `user-${n}`);
  let reads = 0;
  const counted = new Proxy(users, {
    get: (target, name, receiver): unknown => {
      if (typeof name === 'string' && /^\d+$/.test(name)) reads++;
      return Reflect.get(target, name, receiver);
    },
  });
  const removed = new LogEvent('AAAA', {
    type: 'change',
    seq: 3,
    key: 1,
    change: { kind: 'removed', users: counted, count: users.length },
  });
  expect(users.every((user) => removed.removes(user))).toBe(true);
  expect(removed.removes('user-2000')).toBe(false);
  expect(reads).toBe(users.length);
  expect(new LogEvent('AAAA', { type: 'entry', seq: 3, key: 0, entry }).removes('user-1')).toBe(false);
});
