import { expect, test } from 'vitest';
import { type Transfer, makeTransfers } from '../../../api/http/transfers.ts';

// A budget of 80 bytes: each owner may hold 10.

interface World {
  readonly cuts: string[];
  readonly begin: (owner: string, name: string, direction?: 'received' | 'sent') => Transfer;
  readonly held: () => number;
  readonly check: () => void;
  now: number;
}

function makeWorld(): World {
  const cuts: string[] = [];
  const world = { now: 0 };
  const transfers = makeTransfers({
    budget: 80,
    now: () => world.now,
    stalledMs: { received: 5000, sent: 10_000 },
  });
  return Object.assign(world, {
    cuts,
    begin: (owner: string, name: string, direction: 'received' | 'sent' = 'received') =>
      transfers.begin(owner, direction, (reason) => void cuts.push(`${name}: ${reason}`)),
    held: () => transfers.held('received') + transfers.held('sent'),
    check: transfers.check,
  });
}

/** Bytes that arrived. */
function take(transfer: Transfer, bytes: number): void {
  transfer.moved(bytes);
  transfer.hold(bytes);
}

test('what is announced does not count, and what has ended no longer does', () => {
  const world = makeWorld();
  const transfers = Array.from({ length: 1000 }, (_, i) => world.begin('mallory', `${i}`));
  expect(world.held()).toBe(0);
  for (const transfer of transfers.slice(0, 5)) take(transfer, 2);
  expect(world.held()).toBe(10);
  for (const transfer of transfers) transfer.end();
  take(transfers[0] ?? expect.unreachable(), 5);
  expect([world.held(), world.cuts]).toEqual([0, []]);
});

test('of a user who holds more than an eighth, the slowest transfer is cut, and nothing of others', () => {
  const world = makeWorld();
  take(world.begin('alice', "alice's"), 9);
  const slow = world.begin('mallory', 'slow');
  take(slow, 1);
  world.now = 5000;
  const quick = world.begin('mallory', 'quick');
  world.now = 7000;
  take(quick, 6);
  const newest = world.begin('mallory', 'newest');
  take(newest, 4);
  expect(world.cuts).toEqual(['slow: share']);
  expect(world.held()).toBe(19);
  take(newest, 1);
  expect(world.cuts).toEqual(['slow: share', 'quick: share']);
});

test('when all users together hold too much, the slowest of all is cut, and not the newcomer', () => {
  const world = makeWorld();
  for (let i = 0; i < 10; i++) take(world.begin(`user ${i}`, `${i}`), i === 4 ? 7 : 8);
  expect(world.cuts).toEqual([]);
  world.now = 60_000;
  take(world.begin('newcomer', 'new'), 2);
  expect(world.cuts).toEqual(['4: budget']);
});

test('what has arrived is not cut while its request is served: then the newcomer gives way', () => {
  const world = makeWorld();
  for (let i = 0; i < 8; i++) {
    const transfer = world.begin(`user ${i}`, `${i}`);
    take(transfer, 10);
    transfer.arrived();
  }
  take(world.begin('newcomer', 'new'), 1);
  expect([world.cuts, world.held()]).toEqual([['new: budget'], 80]);
});

test('a short answer is not cut for the body of its own request', () => {
  const world = makeWorld();
  const body = world.begin('alice', 'body');
  take(body, 60);
  body.arrived();
  world.begin('alice', 'answer', 'sent').hold(1);
  expect([world.cuts, world.held()]).toEqual([[], 61]);
});

test('a transfer that is alone may be larger than the share of its user', () => {
  const world = makeWorld();
  take(world.begin('alice', 'large', 'sent'), 50);
  expect([world.cuts, world.held()]).toEqual([[], 50]);
});

test('a transfer that stands still is cut, one that moves is not', () => {
  const world = makeWorld();
  const still = world.begin('mallory', 'body');
  const moving = world.begin('alice', 'moving');
  const answer = world.begin('mallory', 'answer', 'sent');
  answer.hold(3);
  take(still, 1);
  for (world.now = 0; world.now <= 9000; world.now += 1000) {
    moving.moved(1);
    world.check();
  }
  expect(world.cuts).toEqual(['body: stalled']);
  world.now = 11_000;
  moving.moved(1);
  world.check();
  expect(world.cuts).toEqual(['body: stalled', 'answer: stalled']);
  expect(world.held()).toBe(0);
});
