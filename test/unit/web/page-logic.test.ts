import { expect, test } from 'vitest';
import { Coalesced } from '../../../web/chat/coalesced.ts';
import { fingerprintGroups, shortKey } from '../../../web/chat/fingerprint.ts';
import { dayOf, daysWords, shortDateOf } from '../../../web/chat/times.ts';
import { newDevice, newName } from '../../../web/shell/new-names.ts';
import { isOfTheChat } from '../../../web/shell/chat-requests.ts';
import { claimsOf } from '../../../web/shell/token-claims.ts';

test('a fingerprint is groups of four hexadecimal digits', () => {
  expect(fingerprintGroups('AAECA/8=')).toEqual(['0001', '0203', 'ff']);
  expect(shortKey('q83vEjRWeJA=')).toBe('abcd ef12');
});

test('days are called by how far they are away', () => {
  const now = new Date(2026, 10, 29, 0, 30).getTime();
  const hour = 3_600_000;
  expect(dayOf(now, now, 'en')).toBe('Today');
  expect(dayOf(now - hour, now, 'en')).toBe('Yesterday');
  expect(dayOf(now - 49 * hour, now, 'en')).toBe('Thursday, November 26');
  expect(dayOf(new Date(2025, 0, 1).getTime(), now, 'en')).toContain('2025');
  expect(shortDateOf(now - 49 * hour, now, 'en')).toBe('Nov 26');
  expect([daysWords(1), daysWords(7)]).toEqual(['1 day', '7 days']);
});

test('the network is cut for the chat, and not for who looks at the service', () => {
  const page = 'http://localhost:8080';
  const isCut = (url: string): boolean => isOfTheChat(new URL(url, page), page);
  expect(isCut('/v1/events')).toBe(true);
  expect(isCut('/v1/conversations/abc/messages')).toBe(true);
  expect(isCut('/v1/admin/conversations/abc/life')).toBe(false);
  expect(isCut('/app/config.json')).toBe(false);
  expect(isCut('http://localhost:8092/v1/tokens')).toBe(false);
});

test('a second person and a second device get a name that nobody has', () => {
  const known = [
    { user: 'alice', device: 'browser' },
    { user: 'alice', device: 'phone' },
  ];
  expect(newName([])).toBe('alice');
  expect(newName(known)).toBe('bob');
  expect(newDevice(known, 'alice')).toBe('laptop');
  expect(newDevice(known, 'bob')).toBe('browser');
  const all = ['browser', 'phone', 'laptop', 'tablet', 'device-5'].map((device) => ({ user: 'x', device }));
  expect(newDevice(all, 'x')).toBe('device-6');
});

test('a token says who it is for', () => {
  const token = (claims: unknown): string => `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`;
  expect(claimsOf(token({ sub: 'alice', device: 'phone' }))).toEqual({ user: 'alice', device: 'phone' });
  expect(claimsOf(token({ sub: 'Zoë' }))).toEqual({ user: 'Zoë' });
  for (const wrong of ['', 'a.b', 'h.!!.s', token({}), token({ sub: '' }), token('x'), token(null)])
    expect(claimsOf(wrong)).toBeUndefined();
});

test('work that is asked for while it runs is done once more, and once only', async () => {
  let runs = 0;
  const ends: (() => void)[] = [];
  const work = new Coalesced(() => {
    runs++;
    return new Promise((resolve) => ends.push(resolve));
  });
  const done = work.run();
  void work.run();
  void work.run();
  expect(runs).toBe(1);
  ends[0]?.();
  await Promise.resolve();
  await Promise.resolve();
  expect(runs).toBe(2);
  ends[1]?.();
  await done;
  expect(runs).toBe(2);
});
