import { expect, test } from 'vitest';
import { addressOf, readIdentity } from '../../../web/shell/window-identity.ts';

test.each([
  [{ search: '', hash: '' }, { device: 'browser' }],
  [
    { search: '?user=alice', hash: '' },
    { user: 'alice', device: 'browser' },
  ],
  [
    { search: '?user=alice&device=laptop', hash: '#c=abc' },
    { user: 'alice', device: 'laptop', conversation: 'abc' },
  ],
  [
    { search: '?join=abc', hash: '' },
    { device: 'browser', join: 'abc' },
  ],
  [{ search: '?user=&join=', hash: '#c=' }, { device: 'browser' }],
])('the address %o says who is in the window', (address, identity) => {
  expect(readIdentity(address)).toEqual(identity);
});

test.each(['alice', 'did:example:alice', 'Zoë & Söhne', 'שלום', '👩‍👩‍👧', 'a#b?c=d', ' x '])(
  'a user called %o comes back from the address',
  (user) => {
    const identity = { user, device: 'my phone', join: 'abc', conversation: 'def-_1' };
    const { search, hash } = new URL(addressOf(identity), 'http://localhost:8080');
    expect(readIdentity({ search, hash })).toEqual(identity);
  },
);

test('the usual device is not in the address', () => {
  expect(addressOf({ user: 'alice', device: 'browser' })).toBe('/app/?user=alice');
});
