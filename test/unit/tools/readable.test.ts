import { expect, test } from 'vitest';
import type { Actor } from '../../../tools/mls-model/actor.ts';
import { ReadableMessages } from '../../../tools/mls-model/readable.ts';
import type { Reference } from '../../../tools/mls-model/reference.ts';

// A log in which each tenth entry is a commit: epoch n begins with entry 10 n.
const KEY = 'key of the device';
const STAY = { from: 0, to: Infinity };

function reference(epochsWithoutLeaf: readonly number[] = [], externalJoins: readonly number[] = []): Reference {
  const epochs = Array.from({ length: 10 }, (_, epoch) => {
    const keys = new Set(epochsWithoutLeaf.includes(epoch) ? [] : [KEY]);
    return [epoch, { from: 10 * epoch, authenticator: '', keys, members: [] }] as const;
  });
  return { epochs: new Map(epochs), externalJoins: new Map([[KEY, externalJoins]]) } as unknown as Reference;
}

function device(record: Partial<Pick<Actor, 'welcomed' | 'losses' | 'stuckAt'>>): Actor {
  return { signatureKey: KEY, welcomed: [], losses: [], stuckAt: [], ...record } as unknown as Actor;
}

test('a device reads what was sent since the epoch that it joined, and nothing before', () => {
  const readable = new ReadableMessages(reference(), device({ welcomed: [20] }), STAY);
  expect(readable.whyNot({ seq: 25, epoch: 2 })).toBeUndefined();
  expect(readable.whyNot({ seq: 95, epoch: 9 })).toBeUndefined();
  expect(readable.whyNot({ seq: 25, epoch: 1 })).toBe('not-joined');
  expect(readable.whyNot({ seq: 15, epoch: 1 })).toBe('not-joined');
});

test('a device that could not follow a commit misses the epochs until it joined again, and no late message of its own', () => {
  const stuck = device({ welcomed: [0], stuckAt: [{ seq: 30, epoch: 2, why: '' }] });
  const readable = new ReadableMessages(reference([], [50]), stuck, STAY);
  expect(readable.whyNot({ seq: 29, epoch: 2 })).toBeUndefined();
  expect(readable.whyNot({ seq: 35, epoch: 3 })).toBe('left-behind');
  expect(readable.whyNot({ seq: 45, epoch: 4 })).toBe('left-behind');
  expect(readable.whyNot({ seq: 35, epoch: 2 })).toBeUndefined();
  expect(readable.whyNot({ seq: 55, epoch: 5 })).toBeUndefined();
  expect(readable.whyNot({ seq: 55, epoch: 4 })).toBe('left-behind');
});

test('a deleted state reads nothing more, also no late message of its epochs', () => {
  const lost = device({ welcomed: [0], losses: [{ position: 25, isGone: true }] });
  const readable = new ReadableMessages(reference([], [50]), lost, STAY);
  expect(readable.whyNot({ seq: 24, epoch: 2 })).toBeUndefined();
  expect(readable.whyNot({ seq: 26, epoch: 2 })).toBe('deleted');
});

test('a state ends when a commit removes the leaf of the device', () => {
  const readable = new ReadableMessages(reference([4]), device({ welcomed: [0] }), STAY);
  expect(readable.whyNot({ seq: 35, epoch: 3 })).toBeUndefined();
  expect(readable.whyNot({ seq: 55, epoch: 5 })).toBe('left-behind');
});
