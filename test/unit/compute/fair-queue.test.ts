import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FairQueue, type Waiting } from '../../../compute/fair-queue.ts';

const ROOM = { jobs: 8, bytes: 1000, share: 1 / 2 };

interface Named extends Waiting {
  readonly name: string;
}

const job = (name: string, bytes = 1): Named => ({ user: name.slice(0, 1), name, bytes });
const namesOf = (jobs: readonly Named[]): string[] => jobs.map(({ name }) => name);

function takeAll(queue: FairQueue<Named>): string[] {
  const names: string[] = [];
  for (let next = queue.take(); next !== undefined; next = queue.take()) names.push(next.name);
  return names;
}

test('users take turns, and the jobs of one user keep their order', () => {
  const queue = new FairQueue<Named>(ROOM);
  for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) queue.add(job(name));
  expect(takeAll(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
});

test('a user who is passed over keeps the turn', () => {
  const queue = new FairQueue<Named>(ROOM);
  for (const name of ['a1', 'a2', 'b1']) queue.add(job(name));
  expect(queue.take((user) => user !== 'a')?.name).toBe('b1');
  expect(takeAll(queue)).toEqual(['a1', 'a2']);
});

test('a user has at most its share, and a single job of any size', () => {
  const queue = new FairQueue<Named>(ROOM);
  for (const name of ['a1', 'a2', 'a3', 'a4']) expect(queue.add(job(name))).toEqual([]);
  expect(namesOf(queue.add(job('a5')))).toEqual(['a5']);
  expect(queue.add(job('b1', 900))).toEqual([]);
  expect(namesOf(queue.add(job('b2', 1)))).toEqual(['b2']);
});

test('a full queue takes the newest job of the user who has most of it', () => {
  const queue = new FairQueue<Named>(ROOM);
  for (const name of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'b3', 'c1']) queue.add(job(name));
  expect(namesOf(queue.add(job('d1')))).toEqual(['a4']);
  const heavy = new FairQueue<Named>(ROOM);
  for (const [name, bytes] of [
    ['a1', 400],
    ['b1', 100],
    ['b2', 100],
    ['b3', 100],
  ] as const)
    heavy.add(job(name, bytes));
  expect(namesOf(heavy.add(job('c1', 350)))).toEqual(['a1']);
});

test('whoever loses a place has as much in the queue as anybody else, and what stays comes out once', () => {
  const added = fc.record({ user: fc.constantFrom('a', 'b', 'c', 'd'), bytes: fc.integer({ min: 0, max: 600 }) });
  fc.assert(
    fc.property(fc.array(added, { maxLength: 60 }), fc.array(fc.boolean(), { maxLength: 60 }), (items, takes) => {
      const queue = new FairQueue<Named>(ROOM);
      const inside = new Map<string, Named>();
      for (const [index, item] of items.entries()) {
        const one = { ...item, name: `${item.user}${index}` };
        inside.set(one.name, one);
        for (const lost of queue.add(one)) {
          const of = (user: string): Named[] => [...inside.values()].filter((other) => other.user === user);
          const bytesOf = (user: string): number => of(user).reduce((sum, { bytes }) => sum + bytes, 0);
          const hasMost = (measure: (user: string) => number): boolean =>
            ['a', 'b', 'c', 'd'].every((user) => measure(user) <= measure(lost.user));
          const isOwnShare = lost === one;
          expect(isOwnShare || hasMost((user) => of(user).length) || hasMost(bytesOf)).toBe(true);
          inside.delete(lost.name);
        }
        if (takes[index] === true) inside.delete(queue.take()?.name ?? '');
        expect(queue.length).toBe(inside.size);
        expect(inside.size).toBeLessThanOrEqual(ROOM.jobs);
      }
      expect(takeAll(queue).sort()).toEqual([...inside.keys()].sort());
      expect(queue.length).toBe(0);
    }),
  );
});
