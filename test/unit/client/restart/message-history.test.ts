import { describe, expect, test } from 'vitest';
import { memoryStore } from '../../../../client/index.ts';
import { trustingMls } from '../../../../client/testing.ts';
import { MessageHistory } from '../../../../client/storage/message-history.ts';
import type { ReceivedMessage } from '../../../../client/storage/group-store.ts';
import { GroupStore } from '../../../../client/storage/group-store.ts';

const message = (seq: number, text: string): ReceivedMessage => ({
  ...{ seq, epoch: 1, sender: 'alice', text },
  ...{ id: `id of ${text}`, device: 'phone' },
});
const shown = (messages: readonly ReceivedMessage[]): string[] =>
  messages.map(({ seq, text, lost }) => (lost === undefined ? `${seq} ${text}` : `(${seq} ${text})`));

/** A history, and what its store says. */
async function filled(...texts: readonly string[]) {
  const store = new GroupStore(memoryStore(), 'group', await trustingMls());
  const history = new MessageHistory(store, []);
  for (const [i, text] of texts.entries()) await history.add(message(i + 1, text), true);
  return { history, stored: async () => shown(await store.messages()) };
}

describe('messages that a log has lost', () => {
  test('stay where they were seen, before what came since', async () => {
    const { history, stored } = await filled('a', 'b', 'c');
    expect(await history.lose({ above: 1, at: 5 })).toBe(2);
    expect(await history.add(message(2, 'new'), true)).toBe('new');
    expect(shown(history.all)).toEqual(['1 a', '(2 b)', '(3 c)', '2 new']);
    expect(await stored()).toEqual(shown(history.all));
  });

  test('are shown once when they come again, at their new place', async () => {
    const { history, stored } = await filled('a', 'b', 'c');
    await history.lose({ above: 1, at: 5 });
    await history.add(message(2, 'new'), true);
    expect(await history.add(message(3, 'b'), true)).toMatchObject({ seq: 2, text: 'b' });
    expect(await history.add(message(4, 'b'), true)).toBe('known');
    expect(shown(history.all)).toEqual(['1 a', '(3 c)', '2 new', '3 b']);
    expect(await stored()).toEqual(shown(history.all));
  });

  test('are not known by an id that only the service says, nor by that of another device', async () => {
    const { history } = await filled('a', 'b');
    await history.lose({ above: 1, at: 5 });
    expect(await history.add(message(2, 'b'), false)).toBe('new');
    expect(await history.add({ ...message(3, 'b'), device: 'laptop' }, true)).toBe('new');
    expect(shown(history.all)).toEqual(['1 a', '(2 b)', '2 b', '3 b']);
  });

  test('are lost again by a second restart', async () => {
    const { history, stored } = await filled('a', 'b');
    await history.lose({ above: 1, at: 5 });
    await history.add(message(2, 'b'), true);
    expect(await history.lose({ above: 1, at: 6 })).toBe(1);
    expect(await stored()).toEqual(['1 a', '(2 b)']);
  });
});
