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
const store = { saveMessage: () => Promise.resolve(), changeMessage: () => Promise.resolve() };

async function lostHistory(): Promise<MessageHistory> {
  const history = new MessageHistory(store, []);
  expect(await history.add(message, true)).toBe('new');
  expect(await history.lose({ above: 3, at: 0 })).toBe(1);
  return history;
}

describe('a lost message that its sender sends again', () => {
  test('moves to its new place', async () => {
    const history = await lostHistory();
    expect(await history.add({ ...message, seq: 5 }, true)).toMatchObject({ seq: 4 });
    expect(history.all).toEqual([{ ...message, seq: 5 }]);
  });

  test('stays as it was shown, if its sender says something else now', async () => {
    const history = await lostHistory();
    const other = { ...message, seq: 5, text: 'I owe you 1' };
    expect(await history.add(other, true)).toBe('new');
    expect(history.all).toEqual([{ ...message, lost: { above: 3, at: 0 } }, other]);
    expect(await history.add({ ...other, seq: 6 }, true)).toBe('known');
  });
});
