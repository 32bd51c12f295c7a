import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Outcome } from '../../../domain/outcome.ts';
import { packOutcomes, slicePacked, unpackOutcomes } from '../../../domain/packed-outcome.ts';

const accepted = (seq: number, epoch = 0): Outcome => ({ status: 'accepted', seq, epoch });
const run = (count: number, seq: number, epoch = 0): object => ({ status: 'run', count, seq, epoch });

test('accepted messages in a row become one item, and everything else stays as it is', () => {
  const others: Outcome[] = [
    { status: 'duplicate', seq: 4, epoch: 0 },
    { status: 'refused', code: 'epoch-too-old', currentEpoch: 1 },
    { status: 'accepted', unread: 3 },
    { status: 'accepted', seq: 4, epoch: 1, sha256: 'aa' },
  ];
  expect(packOutcomes([accepted(1), accepted(2), accepted(3), ...others, accepted(4)])).toEqual([
    run(3, 1),
    ...others,
    run(1, 4),
  ]);
});

test('a gap in seq, another epoch and an item in between begin a new run', () => {
  expect(packOutcomes([accepted(1), accepted(3)])).toEqual([run(1, 1), run(1, 3)]);
  expect(packOutcomes([accepted(2), accepted(1)])).toEqual([run(1, 2), run(1, 1)]);
  expect(packOutcomes([accepted(1), accepted(2, 1)])).toEqual([run(1, 1), run(1, 2, 1)]);
  expect(packOutcomes([])).toEqual([]);
});

/** Outcomes as a batch gives them. */
const outcomes = fc.array(
  fc.oneof(
    fc.record({ status: fc.constant('accepted' as const), seq: fc.nat(6), epoch: fc.nat(1) }),
    fc.record({ status: fc.constant('duplicate' as const), seq: fc.nat(6), epoch: fc.nat(1) }),
    fc.constant<Outcome>({ status: 'refused', code: 'not-found' }),
  ),
  { maxLength: 20 },
);

test('unpacking gives back what was packed, and a slice is the packed form of those commands', () => {
  fc.assert(
    fc.property(outcomes, fc.nat(20), fc.nat(20), (given, from, count) => {
      const packed = packOutcomes(given);
      expect(unpackOutcomes(packed)).toEqual(given);
      expect(unpackOutcomes(slicePacked(packed, from, count))).toEqual(given.slice(from, from + count));
    }),
  );
});

test('a slice cuts a run at both ends and takes nothing else', () => {
  const packed = packOutcomes([
    accepted(11),
    accepted(12),
    accepted(13),
    { status: 'accepted', unread: 0 },
    accepted(14),
  ]);
  expect(slicePacked(packed, 1, 1)).toEqual([run(1, 12)]);
  expect(slicePacked(packed, 1, 3)).toEqual([run(2, 12), { status: 'accepted', unread: 0 }]);
  expect(slicePacked(packed, 3, 0)).toEqual([]);
  expect(slicePacked(packed, 4, 5)).toEqual([run(1, 14)]);
  expect(slicePacked(packed, 5, 1)).toEqual([]);
});
