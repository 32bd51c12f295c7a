import { expect, test } from 'vitest';
import { WedgedConversations } from '../../../../dispatch/auto/wedged-conversations.ts';

test('a wedged conversation goes direct for a while, twice as long after each failed try, and not after an answer', () => {
  let now = 0;
  const wedged = new WedgedConversations(() => now);
  const heldFor = (): number => {
    const from = now;
    while (wedged.isHeld('a')) now += 500;
    return now - from;
  };
  expect(wedged.mark('a', { isLocked: false })).toBe(true);
  expect(heldFor()).toBe(5000);
  expect(wedged.mark('a', { isLocked: false })).toBe(false);
  expect(heldFor()).toBe(10_000);
  for (let i = 0; i < 3; i++) wedged.mark('a', { isLocked: false });
  expect(heldFor()).toBe(30_000);
  expect(wedged.list()).toEqual([{ conversation: 'a', since: 0, isLocked: false }]);
  expect(wedged.answered('a')).toBe(true);
  expect(wedged.list()).toEqual([]);
  wedged.mark('a', { isLocked: false });
  expect(heldFor()).toBe(5000);
});

test('a locked conversation is named, and not diverted', () => {
  const wedged = new WedgedConversations(() => 7);
  expect(wedged.mark('a', { isLocked: true })).toBe(true);
  expect(wedged.mark('a', { isLocked: true })).toBe(false);
  expect(wedged.isHeld('a')).toBe(false);
  expect(wedged.list()).toEqual([{ conversation: 'a', since: 7, isLocked: true }]);
});

test('who was not tried for ten minutes is forgotten, and no more than a thousand are remembered', () => {
  let now = 0;
  const wedged = new WedgedConversations(() => now);
  for (let i = 0; i < 1500; i++) wedged.mark(`c${i}`, { isLocked: false });
  expect(wedged.list()).toHaveLength(1000);
  now = 11 * 60_000;
  expect(wedged.list()).toEqual([]);
});
