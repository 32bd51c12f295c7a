import { describe, expect, test } from 'vitest';
import type { ReceivedMessage } from '../../../../client/storage/group-store.ts';
import { MessageHistory } from '../../../../client/storage/message-history.ts';

const message: ReceivedMessage = {
  seq: 4,
  epoch: 1,
  sender: 'mallory',
  device: 'key',
  id: 'promise',
  text: 'I owe you 100',
};

function lostHistory(): MessageHistory {
  const history = new MessageHistory([]);
  expect(history.add(message, true)).toBe('new');
  expect(history.lose({ above: 3, at: 0 })).toBe(1);
  return history;
}

describe('a lost message that its sender sends again', () => {
  test('moves to its new place', () => {
    const history = lostHistory();
    expect(history.add({ ...message, seq: 5 }, true)).toMatchObject({ seq: 4 });
    expect(history.all).toEqual([{ ...message, seq: 5 }]);
  });

  test('stays as it was shown, if its sender says something else now', () => {
    const history = lostHistory();
    const other = { ...message, seq: 5, text: 'I owe you 1' };
    expect(history.add(other, true)).toBe('new');
    expect(history.all).toEqual([{ ...message, lost: { above: 3, at: 0 } }, other]);
    expect(history.add({ ...other, seq: 6 }, true)).toBe('known');
  });
});
