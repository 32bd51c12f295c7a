import { describe, expect, test } from 'vitest';
import { type Attempt, type Book, createLedger } from '../../../tools/chaos/load/ledger.ts';
import { makeSequence } from '../../../tools/chaos/streams/sequence.ts';
import { FAULTS } from '../../../tools/chaos/faults.ts';
import { makeSchedule } from '../../../tools/chaos/schedule.ts';
import { type Row, judgeLog } from '../../../tools/chaos/verdict/log.ts';
import type { Entry } from '../../../client/index.ts';

/** A conversation in which alice sent two messages and made a commit, all acknowledged. */
function acknowledged(): { book: Book; rows: Row[]; attempts: Attempt[] } {
  const ledger = createLedger();
  const book = ledger.open('conversation', ['alice']);
  const attempts = (['message', 'message', 'commit'] as const).map((kind, i) => {
    const attempt = ledger.attempt(book, { id: `id-${i}`, kind, user: 'alice', ciphertext: `bytes-${i}` });
    ledger.acknowledge(attempt, i + 1, 0);
    return attempt;
  });
  const rows = attempts.map(({ id, kind, user, ciphertext }, i) => ({
    seq: i + 1,
    kind: kind === 'commit' ? 'commit' : 'application',
    id,
    epoch: 0,
    sender: user,
    ciphertext,
    at: 1000,
  }));
  return { book, rows, attempts };
}

describe('the recount of a log', () => {
  test('has nothing to say about a log that is as it was acknowledged', () => {
    const { book, rows } = acknowledged();
    expect(judgeLog(book, rows)).toEqual([]);
  });

  test.each<[string, (given: ReturnType<typeof acknowledged>) => Row[], string]>([
    ['a lost entry', ({ rows }) => rows.slice(0, 2), 'commit id-2, acknowledged at 3, is lost'],
    ['a doubled entry', ({ rows }) => [...rows, { ...at(rows, 0), seq: 4 }], 'id-0 is stored twice'],
    ['a gap', ({ rows }) => [...rows.slice(0, 2), { ...at(rows, 2), seq: 4 }], 'entry 3 has seq 4'],
    ['other bytes', ({ rows }) => [{ ...at(rows, 0), ciphertext: 'x' }, ...rows.slice(1)], 'entry 1 has other bytes'],
    [
      'another sender',
      ({ rows }) => [{ ...at(rows, 0), sender: 'bob' }, ...rows.slice(1)],
      'entry 1 has another sender',
    ],
    [
      'a commit of another epoch',
      ({ rows }) => [...rows.slice(0, 2), { ...at(rows, 2), epoch: 1 }],
      'commit 3 ends epoch 1',
    ],
    ['an entry of nobody', ({ rows }) => [...rows, { ...at(rows, 0), seq: 4, id: 'x' }], 'nobody sent entry 4, x'],
    [
      'another order of one client',
      ({ rows }) => [{ ...at(rows, 1), seq: 1 }, { ...at(rows, 0), seq: 2 }, at(rows, 2)],
      'entry 2 came too late',
    ],
    [
      'a commit that was refused',
      ({ rows, attempts }) => {
        Object.assign(at(attempts, 2), { refused: 'epoch-conflict' });
        return rows;
      },
      'entry 3 was refused before: epoch-conflict',
    ],
    [
      'a message that came after its deadline',
      ({ rows, attempts }) => {
        Object.assign(at(attempts, 1), { seq: undefined, notAfter: 999 });
        return rows;
      },
      'entry 2 was written after its deadline',
    ],
  ])('finds %s', (_, change, problem) => {
    const given = acknowledged();
    expect(judgeLog(given.book, change(given))).toContain(problem);
  });

  test('finds two answers for one operation', () => {
    const ledger = createLedger();
    const book = ledger.open('conversation', []);
    const attempt = ledger.attempt(book, { id: 'id', kind: 'message', user: 'alice', ciphertext: '' });
    ledger.acknowledge(attempt, 1, 0);
    ledger.acknowledge(attempt, 1, 0);
    expect(ledger.objections).toEqual([]);
    ledger.acknowledge(attempt, 2, 0);
    expect(ledger.objections).toEqual(['message id was acknowledged at 1 and again at 2']);
  });
});

describe('the sequence of a stream', () => {
  const entry = (seq: number, ciphertext = 'bytes'): Entry => ({ seq, id: `id-${seq}`, ciphertext }) as Entry;

  test('knows entries that are missing, repeated, reordered or changed', () => {
    const sequence = makeSequence(false);
    expect([1, 2, 3].map((seq) => sequence.take(entry(seq)))).toEqual([undefined, undefined, undefined]);
    expect(sequence.take(entry(5))).toBe('entry 5 came after 3');
    expect(sequence.take(entry(4))).toBe('entry 4 came after 5');
    expect(sequence.take(entry(4))).toBe('entry 4 came after 4');
    expect(sequence.take(entry(5, 'other'))).toBe('entry 5 came with other bytes');
  });

  test('begins again after a reconnect: with the next entry, or for a device with one that it has had', () => {
    for (const repeats of [false, true]) {
      const sequence = makeSequence(repeats);
      for (const seq of [1, 2, 3]) sequence.take(entry(seq));
      sequence.reconnected();
      expect(sequence.take(entry(2))).toBe(repeats ? undefined : 'a new connection repeated 2');
      sequence.reconnected();
      expect(sequence.take(entry(5))).toBe('a new connection skipped from 3 to 5');
    }
  });
});

test('a seed gives every fault once in its own order, and the same again', () => {
  const firstOf = (seed: number): string[] => {
    const schedule = makeSchedule(seed, FAULTS, false);
    return FAULTS.map(() => schedule.next().value.fault.name);
  };
  expect(firstOf(1).toSorted()).toEqual(FAULTS.map(({ name }) => name).sort());
  expect(firstOf(1)).toEqual(firstOf(1));
  expect(firstOf(1)).not.toEqual(firstOf(2));
});

function at<T>(list: readonly T[], index: number): T {
  return list[index] as T;
}
